"""The "Batch jobs" tab of the Airflow UI, and the HTTP API behind it."""
