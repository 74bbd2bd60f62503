/** What Airflow's page loads: it expects a component under the global name `AirflowPlugin`. */
import type { Scope } from "./api";
import { ChakraUI, React } from "./host";

class Boundary extends React.Component<{ readonly children: React.ReactNode }, { error?: Error }> {
  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override state: { error?: Error } = {};

  override render() {
    return this.state.error === undefined ? (
      this.props.children
    ) : (
      <p role="alert">
        The Batch jobs can not be shown: {this.state.error.message}. Reload the page; the jobs go on as they were.
      </p>
    );
  }
}

const TooOld = () => (
  <p role="alert">
    This Airflow is too old to show Batch jobs: that needs Airflow 3.2. On the command line, airflow batch-cancel does the same.
  </p>
);

// Airflow before 3.2 does not lend its components, and everything else here is made of them.
const Page = ChakraUI === undefined ? TooOld : (await import("./BatchJobs")).BatchJobs;

const Plugin = (props: Scope) => (
  <Boundary>
    <Page {...props} />
  </Boundary>
);

Reflect.set(globalThis, "AirflowPlugin", Plugin);
