// Wrong rules: a run may have one in place of a rule of Raft, to show what the right one is for. Each is a patch of the
// core, of the planted bugs or of the exercises (../wrong-rules). A schedule names it.

import type { Decision } from '../../src/raft/index.ts'

export interface WrongRule {
  readonly name: string
  /** The behaviour of the nodes. */
  readonly text: string
  /** The section that has the right rule. */
  readonly source: string
  /** The kind of the decisions of which it makes wrong ones. */
  readonly decision: Decision['kind'] | undefined
  /** The patch of src/raft, below jepsen-lite/. */
  readonly patch: string
  /**
   * Rules of the simulator that are not checked, because each says only that this rule is wrong. So the run continues
   * to the harm.
   */
  readonly unchecked: readonly string[]
}

export const WRONG_RULES = [
  {
    name: 'commit-of-earlier-term',
    text: 'a leader commits entries of earlier terms by counting replicas',
    source: 'paper §5.4.2',
    decision: 'committed',
    patch: 'mutants/patches/commit-of-earlier-term.patch',
    unchecked: ['RAFT-9', 'RAFT-11', 'RAFT-14'],
  },
  {
    name: 'vote-without-comparing-logs',
    text: 'a node votes for a candidate whose log is older than its own',
    source: 'paper §5.4.1',
    decision: 'vote',
    patch: 'exercises/patches/02-vote-without-comparing-logs.patch',
    unchecked: ['RAFT-9', 'RAFT-11', 'RAFT-14'],
  },
  {
    name: 'acknowledged-before-durable',
    text: 'a follower acknowledges an entry before the entry is on its disk',
    source: 'paper figure 2; thesis §10.2.1',
    decision: 'committed',
    patch: 'mutants/patches/acknowledged-before-durable.patch',
    unchecked: ['RAFT-3', 'RAFT-9', 'RAFT-11', 'RAFT-14'],
  },
  {
    name: 'joint-commit-by-incoming-voters',
    text: 'while voters change, a majority of the new voters alone commits an entry',
    source: 'paper §6',
    decision: 'committed',
    patch: 'mutants/patches/joint-commit-by-incoming-voters.patch',
    unchecked: [],
  },
  {
    name: 'read-without-round',
    text: 'a leader answers a read before a majority has confirmed that it still leads',
    source: 'paper §8; thesis §6.4',
    decision: undefined,
    patch: 'mutants/patches/read-without-round.patch',
    unchecked: [],
  },
] as const satisfies readonly WrongRule[]

export type WrongRuleName = (typeof WRONG_RULES)[number]['name']

export const WRONG_RULE_NAMES = WRONG_RULES.map(({ name }) => name)

export const wrongRule = (name: string): WrongRule | undefined => WRONG_RULES.find((one) => one.name === name)

export const sentenceOfRule = ({ text, source }: WrongRule): string =>
  `In this cluster a rule of Raft is wrong: ${text} (${source}).`
