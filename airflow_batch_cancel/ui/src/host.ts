/** What Airflow's own page lends to its plugins. Nothing of it is bundled; only the types are known here. */
import type * as Chakra from "@chakra-ui/react";
import type * as ReactNamespace from "react";
import type * as Router from "react-router-dom";

type Host = {
  ChakraUI?: typeof Chakra;
  React: typeof ReactNamespace;
  ReactRouterDOM: typeof Router;
};

const host = globalThis as unknown as Host;

export const { React } = host;
/** Airflow before 3.2 does not lend it; then nothing but `index.tsx` runs. */
export const ChakraUI = host.ChakraUI as typeof Chakra;
export const { Link: RouterLink } = host.ReactRouterDOM;
