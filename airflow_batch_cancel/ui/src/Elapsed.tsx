import { secondsBetween } from "./format";
import { React } from "./host";

const listeners = new Set<() => void>();
let clock: ReturnType<typeof setInterval> | undefined;
let now = Date.now();

/** One clock for all the durations on the page. */
const subscribe = (listener: () => void) => {
  listeners.add(listener);
  clock ??= setInterval(() => {
    now = Date.now();
    listeners.forEach((one) => one());
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(clock);
      clock = undefined;
    }
  };
};

type Props = { readonly format: (seconds: number) => string; readonly from?: string | null; readonly to?: string | null };

/** The time from an instant to another one, or to now, ticking. */
export const Elapsed = ({ format, from, to }: Props) => {
  const current = React.useSyncExternalStore(subscribe, () => now);
  const seconds = secondsBetween(from, to, current);
  return <>{seconds === undefined ? "" : format(seconds)}</>;
};
