// Decisions of cores as sentences: what a node does, and why.

import type { Configuration, Decision, LogEnd, ReplicaId, VoteRefusal } from '../../src/raft/index.ts'
import type { WrongRule } from '../sim/wrong-rules.ts'

export interface Caption {
  readonly text: string
  /** Where the rule stands: a section of the paper or of the thesis. undefined: the decision follows a wrong rule. */
  readonly source: string | undefined
  /** It follows from what was said before, or something that is said later says more. */
  readonly isMinor?: boolean
}

/** The run, as the sentence about a decision needs it. */
export interface DecisionScene {
  /** The name of another replica. */
  nameOf(id: string | undefined): string
  /** The label of an entry of the node that decides. */
  labelOf(index: number): string
  /** The configuration that counts on that node. */
  readonly configuration: Configuration | undefined
  readonly rule: WrongRule | undefined
}

/** The sentence about the decision of a node. It cites no paper for what a wrong rule decides. */
export function captionOf(node: string, decision: Decision, scene: DecisionScene): Caption {
  const caption = rightCaption(node, decision, scene)
  return scene.rule?.decision === decision.kind ? { ...caption, source: undefined } : caption
}

function rightCaption(
  node: string,
  decision: Decision,
  { nameOf, labelOf, configuration }: DecisionScene,
): Caption {
  switch (decision.kind) {
    case 'campaign':
      return campaign(node, decision)
    case 'vote': {
      const { candidate, term, preVote, refusal } = decision
      const vote = preVote ? 'pre-vote' : 'vote'
      if (refusal === undefined)
        return {
          text: preVote
            ? `${node} would vote for ${nameOf(candidate)} in term ${term}.`
            : `${node} votes for ${nameOf(candidate)} in term ${term}.`,
          source: preVote ? 'thesis §9.6' : 'paper §5.2',
          // The campaign is said before, and its result after.
          isMinor: true,
        }
      const { why, source } = refusalWords(refusal, nameOf, node)
      return { text: `${node} refuses ${nameOf(candidate)} its ${vote} for term ${term}: ${why}.`, source }
    }
    case 'elected': {
      const others = decision.votes.map(nameOf).filter((name) => name !== node)
      const from =
        others.length === 0 ? 'its own vote alone is' : `the votes of ${listed([node, ...others])} are`
      return { text: `${node} leads term ${decision.term}: ${from} a majority.`, source: 'paper §5.2' }
    }
    case 'old-term':
      return {
        text: `${node} ignores ${article(decision.type)} of ${nameOf(decision.from)}: term ${decision.term} is over.`,
        source: 'paper §5.1',
      }
    case 'newer-term': {
      const { from, type, term } = decision
      return {
        text: `${node} takes over term ${term} from the ${named(type)} of ${nameOf(from)}: it is newer than its own.`,
        source: 'paper §5.1',
        isMinor: true,
      }
    }
    case 'election-lost': {
      const what = decision.preVote ? 'the pre-vote' : `the election of term ${decision.term}`
      return { text: `${node} has lost ${what}: a majority refuses.`, source: 'paper §5.2' }
    }
    case 'quorum-lost':
      return {
        text: `${node} no longer leads term ${decision.term}: it has had no contact to a majority for ${inSeconds(decision.silentMs)}, so others may have a leader.`,
        source: 'thesis §6.2',
      }
    case 'append-rejected': {
      const { leader, previous, own } = decision
      const has = own === undefined ? 'its log is shorter' : `its own entry there is of term ${own}`
      return {
        text: `${node} rejects an append of ${nameOf(leader)} that follows ${ended(previous)}: ${has}.`,
        source: 'paper §5.3',
      }
    }
    case 'truncated': {
      const { index, last, leader } = decision
      const which = index === last ? `entry ${index}` : `entries ${index} to ${last}`
      return {
        text: `${node} deletes ${which}, which it did not know to be committed: ${nameOf(leader)} has others there.`,
        source: 'paper §5.3',
      }
    }
    case 'committed': {
      const { index, durableOn } = decision
      const majority = majorityText(durableOn, configuration)
      return {
        text: `Entry ${index} (${labelOf(index)}) is committed: it is on the disks of ${listed(durableOn.map(nameOf))}, ${majority}.`,
        source: majority === A_MAJORITY ? 'paper §5.3' : 'paper §6',
      }
    }
    case 'commit-waits':
      return {
        text: `Entry ${decision.index} is on a majority, and ${node} does not commit it: it is of term ${decision.term}, an older one.`,
        source: 'paper §5.4.2',
      }
    case 'snapshot':
      return {
        text: `${node} sends ${nameOf(decision.follower)} a snapshot: its log begins after entry ${decision.atLeast}.`,
        source: 'paper §7',
      }
  }
}

const A_MAJORITY = 'a majority'

/** While voters change, an entry needs a majority of the old ones and a majority of the new ones. */
function majorityText(durableOn: readonly ReplicaId[], configuration: Configuration | undefined): string {
  const { voters = [], votersOutgoing = [] } = configuration ?? {}
  if (votersOutgoing.length === 0) return A_MAJORITY
  const has = (all: readonly ReplicaId[]): boolean =>
    2 * all.filter((id) => durableOn.includes(id)).length > all.length
  const of = [has(votersOutgoing) ? 'of the old voters' : [], has(voters) ? 'of the new voters' : []].flat()
  return of.map((which) => `${A_MAJORITY} ${which}`).join(' and ')
}

function campaign(
  node: string,
  { term, preVote, transfer }: Extract<Decision, { kind: 'campaign' }>,
): Caption {
  if (preVote)
    return {
      text: `${node} has received nothing from a leader for too long, and asks whether it would be elected in term ${term}.`,
      source: 'thesis §9.6',
    }
  return transfer
    ? { text: `${node} requests votes for term ${term}: the leader hands over.`, source: 'thesis §3.10' }
    : { text: `${node} requests votes for term ${term}: a majority would elect it.`, source: 'paper §5.2' }
}

function refusalWords(
  refusal: VoteRefusal,
  nameOf: (id: string | undefined) => string,
  node: string,
): { readonly why: string; readonly source: string } {
  if (refusal.because === 'log') {
    const { own, other } = refusal
    return {
      why: `its log ends with ${ended(own)}, the other one with ${ended(other)}`,
      source: 'paper §5.4.1',
    }
  }
  if (refusal.because === 'voted')
    return {
      why: refusal.for === undefined ? 'it may vote once' : `in that term it is for ${nameOf(refusal.for)}`,
      source: 'paper §5.2',
    }
  const leader = nameOf(refusal.leader)
  const why =
    leader === node
      ? 'it leads'
      : refusal.leader === undefined
        ? 'it has promised a leader not to vote yet'
        : `it is in contact with the leader ${leader}`
  return { why, source: 'thesis §4.2.3' }
}

const ended = ({ index, term }: LogEnd): string =>
  index === 0 ? 'nothing' : `entry ${index} of term ${term}`

const named = (type: string): string => type.replaceAll('-', ' ')
const article = (type: string): string => `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${named(type)}`

export const inSeconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

export const listed = (names: readonly string[]): string =>
  names.length < 2 ? names.join() : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
