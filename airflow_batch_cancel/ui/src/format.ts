/** Dates and durations as Airflow's own pages write them. */

const timezone = (): string => {
  try {
    const chosen = JSON.parse(localStorage.getItem("timezone") ?? '"UTC"') as string;
    return chosen === "local" ? Intl.DateTimeFormat().resolvedOptions().timeZone : chosen;
  } catch {
    return "UTC";
  }
};

/** `YYYY-MM-DD HH:mm:ss` in the timezone that is chosen in Airflow. */
export const formatTime = (instant: string): string => {
  const options = { dateStyle: "short", timeStyle: "medium", timeZone: timezone() } as const;
  try {
    return new Intl.DateTimeFormat("sv-SE", options).format(new Date(instant));
  } catch {
    return new Intl.DateTimeFormat("sv-SE", { ...options, timeZone: "UTC" }).format(new Date(instant));
  }
};

const two = (value: number) => String(Math.floor(value)).padStart(2, "0");

/** `HH:mm:ss`, with the days in front when there are any. */
export const formatSeconds = (seconds: number): string => {
  const days = Math.floor(seconds / 86_400);
  const clock = `${two((seconds / 3600) % 24)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
  return days > 0 ? `${days}d ${clock}` : clock;
};

/** The age as a person would say it: `12 s`, `5 min`, `3 h`, `2 d`. */
export const formatAge = (seconds: number): string => {
  if (seconds < 60) {
    return `${Math.floor(seconds)} s`;
  }
  if (seconds < 3600) {
    return `${Math.floor(seconds / 60)} min`;
  }
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
};

export const secondsBetween = (from?: string | null, to?: string | null, now = Date.now()): number | undefined =>
  from === undefined || from === null
    ? undefined
    : Math.max(0, ((to === undefined || to === null ? now : Date.parse(to)) - Date.parse(from)) / 1000);

export const plural = (count: number, one: string): string =>
  `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;
