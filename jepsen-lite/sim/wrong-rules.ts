// Wrong rules: a run may have one in place of a rule of Raft, to show what the right one is for. Each is a patch of the
// core, of the planted bugs or of the exercises (../wrong-rules). A schedule names it.

export interface WrongRule {
  readonly name: string
  /** The behaviour of the nodes. */
  readonly text: string
  /** The section that has the right rule. */
  readonly source: string
  /** The patch of src/raft, below jepsen-lite/. */
  readonly patch: string
}

export const WRONG_RULES = [
  {
    name: 'commit-of-earlier-term',
    text: 'a leader commits entries of earlier terms by counting replicas',
    source: 'paper §5.4.2',
    patch: 'mutants/patches/commit-of-earlier-term.patch',
  },
  {
    name: 'vote-without-comparing-logs',
    text: 'a node votes for a candidate whose log is older than its own',
    source: 'paper §5.4.1',
    patch: 'exercises/patches/02-vote-without-comparing-logs.patch',
  },
  {
    name: 'vote-sent-before-durable',
    text: 'a node sends its vote before the vote is on its disk',
    source: 'paper §5.2, figure 2',
    patch: 'mutants/patches/vote-sent-before-durable.patch',
  },
  {
    name: 'acknowledged-before-durable',
    text: 'a follower acknowledges an entry before the entry is on its disk',
    source: 'paper figure 2; thesis §10.2.1',
    patch: 'mutants/patches/acknowledged-before-durable.patch',
  },
  {
    name: 'append-truncates-without-conflict',
    text: 'a follower deletes entries that an append repeats',
    source: 'paper §5.3, figure 2',
    patch: 'mutants/patches/append-truncates-without-conflict.patch',
  },
  {
    name: 'joint-commit-by-incoming-voters',
    text: 'while voters change, a majority of the new voters alone commits an entry',
    source: 'paper §6',
    patch: 'mutants/patches/joint-commit-by-incoming-voters.patch',
  },
  {
    name: 'read-without-round',
    text: 'a leader answers a read before a majority has confirmed that it still leads',
    source: 'paper §8; thesis §6.4',
    patch: 'mutants/patches/read-without-round.patch',
  },
  {
    name: 'lease-promise-ignored',
    text: 'a node campaigns within the lease that it has promised to the leader',
    source: 'thesis §6.4.1',
    patch: 'mutants/patches/lease-promise-ignored.patch',
  },
  {
    name: 'pre-vote-beside-a-live-leader',
    text: 'a node that hears its leader helps another one to replace it',
    source: 'thesis §4.2.3 and §9.6',
    patch: 'exercises/patches/03-pre-vote-beside-a-live-leader.patch',
  },
] as const satisfies readonly WrongRule[]

export type WrongRuleName = (typeof WRONG_RULES)[number]['name']

export const WRONG_RULE_NAMES = WRONG_RULES.map(({ name }) => name)

/** The wrong rule in a sentence; '' for the rules as they are. */
export function sentenceOfRule(name: WrongRuleName): string {
  const rule = WRONG_RULES.find((one) => one.name === name)
  return rule === undefined ? '' : `In this cluster a rule of Raft is wrong: ${rule.text} (${rule.source}).`
}
