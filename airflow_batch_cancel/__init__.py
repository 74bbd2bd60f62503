"""An Apache Airflow provider that cancels AWS Batch jobs, and never leaves one behind."""

__version__ = "0.1.0"
