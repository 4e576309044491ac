// The vocabulary of facts: what can be said about one instant of a run. Each subject has a form in which capital words
// stand for names and numbers, and a reader of the view.

import { MESSAGE_TYPES } from '../../sim/world/message-types.ts'
import type { EntryView, LabView, MachineView, OperationView, WatchView } from '../view.ts'

export type FactValue = number | string
/** The value of a subject that does not exist at this instant. */
export const NONE = 'none'

interface Subject {
  /** As in the guide: `NODE.log[INDEX].term`. */
  readonly form: string
  /** Values that it can have, apart from `none`. */
  readonly values: 'number' | 'node' | 'text' | readonly string[]
  /** The meaning, for the guide. */
  readonly meaning: string
  readonly read: (view: LabView, ...names: readonly string[]) => FactValue | undefined
}

/** Words of forms. */
const PARTS: Readonly<Record<string, string>> = {
  NODE: '(n\\d+|leader)',
  OTHER: '(n\\d+)',
  INDEX: '([1-9]\\d*)',
  CLIENT: '(c\\d+)',
  WATCH: '(w\\d+)',
  OPERATION: '(last|[1-9]\\d*)',
  TYPE: `(${MESSAGE_TYPES.join('|')})`,
}

// ---- readers

/** The running leader with the highest term. */
const leaderOf = ({ nodes }: LabView): MachineView | undefined =>
  leadersOf(nodes).toSorted((a, b) => b.term - a.term)[0]

const leadersOf = (nodes: readonly MachineView[]): readonly MachineView[] =>
  nodes.filter(({ role, state }) => role === 'leader' && state === 'running')

const nodeOf = (view: LabView, name: string): MachineView | undefined =>
  name === 'leader' ? leaderOf(view) : view.nodes.find((node) => node.name === name)

const ofNode =
  (read: (node: MachineView) => FactValue | undefined) =>
  (view: LabView, name = ''): FactValue | undefined => {
    const node = nodeOf(view, name)
    return node === undefined ? undefined : read(node)
  }

const ofEntry =
  (read: (entry: EntryView) => FactValue) =>
  (view: LabView, name = '', index = ''): FactValue | undefined => {
    const entry = nodeOf(view, name)?.log.find((one) => one.index === Number(index))
    return entry === undefined ? undefined : read(entry)
  }

const ofOperation =
  (read: (operation: OperationView) => FactValue) =>
  (view: LabView, client = '', number = ''): FactValue | undefined => {
    const all = view.operations.filter((one) => one.client === client)
    const operation = number === 'last' ? all.at(-1) : all[Number(number) - 1]
    return operation === undefined ? undefined : read(operation)
  }

const ofProgress =
  (read: (progress: MachineView['progress'][number]) => number) =>
  (view: LabView, name = '', other = ''): FactValue | undefined => {
    const progress = nodeOf(view, name)?.progress.find((one) => one.name === other)
    return progress === undefined ? undefined : read(progress)
  }

const isCut = ({ cuts }: LabView, from: string, to: string): boolean =>
  cuts.some((cut) => cut.from === from && cut.to === to)

// ---- subjects

const NODES: readonly Subject[] = [
  {
    form: 'NODE.role',
    values: ['follower', 'pre-candidate', 'candidate', 'leader'],
    meaning: 'role; a node that is down has the role follower',
    read: ofNode(({ role }) => role),
  },
  {
    form: 'NODE.state',
    values: ['running', 'paused', 'opening', 'down'],
    meaning: 'state of its process',
    read: ofNode(({ state }) => state),
  },
  {
    form: 'NODE.member',
    values: ['voter', 'learner'],
    meaning: 'membership, by its own configuration; none: it is no member',
    read: ofNode(({ member }) => member),
  },
  { form: 'NODE.term', values: 'number', meaning: 'current term', read: ofNode(({ term }) => term) },
  { form: 'NODE.vote', values: 'node', meaning: 'its vote in that term', read: ofNode(({ vote }) => vote) },
  {
    form: 'NODE.leader',
    values: 'node',
    meaning: 'the leader that it knows',
    read: ofNode(({ leader }) => leader),
  },
  {
    form: 'NODE.last',
    values: 'number',
    meaning: 'last index of its log',
    read: ofNode(({ lastIndex }) => lastIndex),
  },
  {
    form: 'NODE.first',
    values: 'number',
    meaning: 'first index that its log still has',
    read: ofNode(({ firstIndex }) => firstIndex),
  },
  {
    form: 'NODE.durable',
    values: 'number',
    meaning: 'last index whose entry is on its disk',
    read: ofNode(({ durable }) => durable),
  },
  { form: 'NODE.commit', values: 'number', meaning: 'commit index', read: ofNode(({ commit }) => commit) },
  {
    form: 'NODE.applied',
    values: 'number',
    meaning: 'last index that its store has applied',
    read: ofNode(({ applied }) => applied),
  },
  {
    form: 'NODE.log[INDEX].term',
    values: 'number',
    meaning: 'term of the entry; none: its log has no such entry',
    read: ofEntry(({ term }) => term),
  },
  {
    form: 'NODE.log[INDEX].label',
    values: 'text',
    meaning: 'effect of the entry, as the page shows it: `k0=c1.0`',
    read: ofEntry(({ label }) => label),
  },
  {
    form: 'NODE.match[OTHER]',
    values: 'number',
    meaning: 'matchIndex of a leader for another node',
    read: ofProgress(({ match }) => match),
  },
  {
    form: 'NODE.next[OTHER]',
    values: 'number',
    meaning: 'nextIndex of a leader for another node',
    read: ofProgress(({ next }) => next),
  },
]

const CLIENTS: readonly Subject[] = [
  {
    form: 'CLIENT.OPERATION.outcome',
    values: ['waits', 'ok', 'failed', 'unknown'],
    meaning: 'outcome of its newest operation (`c1.last.outcome`) or of a certain one (`c1.2.outcome`)',
    read: ofOperation(({ outcome }) => outcome),
  },
  {
    form: 'CLIENT.OPERATION.answer',
    values: 'text',
    meaning: 'the answer, as the page shows it; empty while it waits',
    read: ofOperation(({ answer }) => answer),
  },
  {
    form: 'CLIENT.OPERATION.request',
    values: 'text',
    meaning: 'the request, as the page shows it: `put k0 = "c1.0"`',
    read: ofOperation(({ text }) => text),
  },
  {
    form: 'CLIENT.OPERATION.node',
    values: 'node',
    meaning: 'the node that got the request',
    read: ofOperation(({ node }) => node),
  },
]

const ofWatch =
  (read: (watch: WatchView) => FactValue | undefined) =>
  ({ watches }: LabView, name = ''): FactValue | undefined => {
    const watch = watches.find((one) => one.name === name)
    return watch === undefined ? undefined : read(watch)
  }

const WATCHES: readonly Subject[] = [
  {
    form: 'WATCH.node',
    values: 'node',
    meaning: 'the node from which the newest message of the watch came; the first watch is `w1`',
    read: ofWatch(({ node }) => node),
  },
  {
    form: 'WATCH.received',
    values: 'number',
    meaning: 'how many events it has received',
    read: ofWatch(({ received }) => received),
  },
  {
    form: 'WATCH.last',
    values: 'text',
    meaning: 'its newest event: `k0=c1.0`; `k0` alone: the key was deleted',
    read: ofWatch(({ events }) => {
      const last = events.at(-1)
      return last === undefined || last.value === undefined ? last?.key : `${last.key}=${last.value}`
    }),
  },
  {
    form: 'WATCH.revision',
    values: 'number',
    meaning: 'the revision of its newest event',
    read: ofWatch(({ events }) => events.at(-1)?.revision),
  },
]

const CLUSTER: readonly Subject[] = [
  {
    form: 'leaders',
    values: 'number',
    meaning: 'how many running nodes are leaders, each of its own term',
    read: ({ nodes }) => leadersOf(nodes).length,
  },
  {
    form: 'leader',
    values: 'node',
    meaning: 'the leader of the highest term',
    read: (view) => leaderOf(view)?.name,
  },
  {
    form: 'term',
    values: 'number',
    meaning: 'the highest term of any node',
    read: ({ nodes }) => Math.max(0, ...nodes.map(({ term }) => term)),
  },
  {
    form: 'messages[TYPE]',
    values: 'number',
    meaning: `how many messages of this type are on their way: ${MESSAGE_TYPES.join(', ')}`,
    read: ({ messages }, type) => messages.filter((message) => message.type === type).length,
  },
  {
    form: 'cut[OTHER,OTHER]',
    values: ['yes', 'no'],
    meaning: 'whether nothing that the first node sends reaches the second',
    read: (view, from = '', to = '') => (isCut(view, from, to) ? 'yes' : 'no'),
  },
  {
    form: 'cuts',
    values: 'number',
    meaning: 'how many links are cut, each direction counted by itself',
    read: ({ cuts }) => cuts.length,
  },
  {
    form: 'verdict',
    values: ['linearizable', 'violation', 'undecided'],
    meaning: 'the verdict of the checker on all answers so far',
    read: ({ verdict }) => verdict.verdict,
  },
  {
    form: 'violation',
    values: 'text',
    meaning: 'the rule that the run has broken; the run ends there',
    read: ({ violation }) => violation,
  },
]

/** All that facts can be about. */
export const SUBJECTS: readonly Subject[] = [...NODES, ...CLIENTS, ...WATCHES, ...CLUSTER]

const BY_FORM: ReadonlyMap<string, Subject> = new Map(SUBJECTS.map((subject) => [subject.form, subject]))

const PATTERNS = SUBJECTS.map(({ form }) => {
  const escaped = form.replaceAll(/[[\].]/g, '\\$&')
  return { form, pattern: new RegExp(`^${escaped.replaceAll(/[A-Z]+/g, (part) => PARTS[part] ?? part)}$`) }
})

/** A subject with its names, as plain data: `n2.role` has the form `NODE.role`. */
export interface NamedSubject {
  readonly form: string
  readonly names: readonly string[]
}

/** undefined: there is no such subject. */
export function namedSubject(text: string): NamedSubject | undefined {
  for (const { form, pattern } of PATTERNS) {
    const found = pattern.exec(text)
    if (found !== null) return { form, names: found.slice(1) }
  }
  return undefined
}

export const valuesOf = ({ form }: NamedSubject): Subject['values'] => BY_FORM.get(form)?.values ?? 'text'

export const valueIn = ({ form, names }: NamedSubject, view: LabView): FactValue =>
  BY_FORM.get(form)?.read(view, ...names) ?? NONE
