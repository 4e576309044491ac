// Loads the core with a wrong rule, for runs of schedules that have it.

import type { WrongRuleName } from '../sim/index.ts'
import { addWrongRaft, isWrongRaftLoaded } from '../sim/world/observed-raft.ts'

/** undefined: the rules as they are, which are always there. */
export async function loadRule(rule: WrongRuleName | undefined): Promise<void> {
  if (rule === undefined || isWrongRaftLoaded(rule)) return
  const { importWrongRaft } = await import('./wrong-rafts.ts')
  addWrongRaft(rule, await importWrongRaft(rule))
}
