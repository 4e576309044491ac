// All scenarios, in the order in which they run. The last one leaves a gigabyte behind.

import { CATCH_UP } from './catch-up.ts'
import { FAIL_OVER } from './fail-over.ts'
import { IMPORT } from './import.ts'
import { EMPTY_LOAD, LOADS, TEN_MILLION_LOADS } from './loads.ts'
import { MEMORY, MEMORY_10M } from './memory.ts'
import { RESTART, RESTART_10M } from './restart.ts'
import type { Scenario } from './scenario.ts'
import { SECURE, WRONG_LOGINS } from './secure.ts'
import { SIZE, SIZE_10M } from './size.ts'
import { STALLS } from './stalls.ts'
import { WATCHES } from './watch.ts'

export const SCENARIOS: readonly Scenario[] = [
  EMPTY_LOAD,
  MEMORY,
  ...LOADS,
  ...WATCHES,
  ...STALLS,
  SECURE,
  WRONG_LOGINS,
  IMPORT,
  RESTART,
  SIZE,
  FAIL_OVER,
  ...TEN_MILLION_LOADS,
  MEMORY_10M,
  RESTART_10M,
  SIZE_10M,
  CATCH_UP,
]
