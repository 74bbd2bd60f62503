import { HttpError } from "./api";
import { React } from "./host";

const SLOWEST = 30_000;

export type Polled<T> = { data?: T; error?: HttpError; refresh: () => void; updatedAt?: number };

/**
 * Ask again and again: soon while things change, ever more slowly while they do not, not at all when the browser
 * tab is hidden, and no more once it is over. The last answer stays when one fails.
 *
 * @param load makes one request; another function begins anew
 * @param isOver says whether an answer is the last one
 * @param first milliseconds to the second request
 */
export const usePolling = <T>(load: (() => Promise<T>) | undefined, isOver: (data: T) => boolean, first: number): Polled<T> => {
  const [state, setState] = React.useState<{ data?: T; error?: HttpError; updatedAt?: number }>({});
  const [round, setRound] = React.useState(0);
  const isOverNow = React.useRef(isOver);
  isOverNow.current = isOver;

  React.useEffect(() => setState({}), [load]);

  React.useEffect(() => {
    if (load === undefined) {
      return undefined;
    }
    let pause = first;
    let seen = "";
    let ended = false;
    let busy = false;
    let timer: ReturnType<typeof setTimeout> | undefined;

    const next = () => {
      clearTimeout(timer);
      if (!ended && !document.hidden) {
        timer = setTimeout(() => void ask(), pause);
      }
    };
    const ask = async () => {
      if (busy || ended) {
        return;
      }
      busy = true;
      try {
        const data = await load();
        const text = JSON.stringify(data);
        pause = text === seen ? Math.min(pause * 1.4, SLOWEST) : first;
        seen = text;
        if (!ended) {
          setState({ data, updatedAt: Date.now() });
          ended = isOverNow.current(data);
        }
      } catch (error) {
        const failure = error instanceof HttpError ? error : new HttpError(0, String(error));
        pause = Math.min(pause * 1.4, SLOWEST);
        if (!ended) {
          setState((before) => ({ ...before, error: failure }));
          ended = failure.status === 401 || failure.status === 403 || failure.status === 404;
        }
      }
      busy = false;
      next();
    };
    const seenAgain = () => (document.hidden ? clearTimeout(timer) : void ask());

    document.addEventListener("visibilitychange", seenAgain);
    void ask();
    return () => {
      ended = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seenAgain);
    };
  }, [load, first, round]);

  return { ...state, refresh: React.useCallback(() => setRound((before) => before + 1), []) };
};
