// The kinds of faults and their fields: plain data (shape.ts). faults.ts and the files beside it implement them.

import {
  choiceField,
  computed,
  type DrawContext,
  duration,
  type FieldShapes,
  type FieldValues,
  flag,
  listField,
  natural,
  optional,
  places,
  target,
} from '../schedule/shape.ts'
import { TRIGGERS, type TriggerWait } from './trigger-wait.ts'

const [firstTrigger, ...otherTriggers] = TRIGGERS

/**
 * Fields of faults that cut links. stalls: bytes wait until the end instead of vanishing; refuses: calls are refused
 * instead of ignored; breaks: connections break at once; until: the cut ends at this trigger, if that concerns a
 * machine that the fault hit, and comes first.
 */
const cut = {
  ms: duration,
  stalls: flag(),
  refuses: flag(),
  breaks: flag(),
  until: optional(choiceField(firstTrigger, ...otherTriggers), 0),
}

/** Fate of the batch that is being written. */
const IN_FLIGHT = ['lost', 'kept', 'torn'] as const

/**
 * Fields of a change of the membership. asked: the machine that gets the request; member: the member that it is about,
 * by a number among the members or by a role; evenSmall: also with three voters or fewer.
 */
const change = { asked: target, member: computed(({ rng }) => rng.int(0, 12)), evenSmall: flag(0.3) }
/** deletedAfterMs: the removed machine is deleted this long after the operator knows that the change is done. */
const changeOfAny = { ...change, member: target, deletedAfterMs: optional(natural(0, 60), 0.3) }

/** Faults that last, and that `heal` can end. */
const LASTING_FAULTS = [
  ...(['isolate', 'partition', 'one-way', 'deaf', 'half-deaf', 'ring', 'bridge', 'flap', 'lossy'] as const),
  ...([
    'slow-link',
    'late',
    'shifting-majority',
    'crash',
    'crash-many',
    'stop',
    'pause',
    'slow-apply',
  ] as const),
  ...(['slow-disk', 'stall-disk', 'fail-sync', 'fail-read', 'full-disk', 'skew', 'compact-log'] as const),
] as const

/** Limit of a delay. A message that is later arrives after the cluster must have converged. */
const DELAY_MS_MAX = 60_000

const leaseMs = ({ rng, config }: DrawContext): number => config.electionMinMs * rng.pick([0.5, 1, 1, 3])

export const FAULT_SHAPES = {
  // ---- network
  /** These machines on one side, the others on the other. */
  partition: { side: places(), ...cut },
  /** Alone, or with one companion. */
  isolate: { target, companion: optional(target, 0.5), ...cut },
  /** Every machine is connected to a majority, and no two to the same one. */
  ring: cut,
  /** Two halves, and one machine that is connected to both. */
  bridge: { target, half: places(), ...cut },
  'one-way': { from: target, to: target, ...cut },
  /** The machine hears no other, or no other hears it. */
  deaf: { target, direction: choiceField('in', 'out'), ...cut },
  /** Its links, or the one to `peer`, are cut and restored in turn. */
  flap: { target, peer: optional(target, 0.5), periodMs: natural(20, 520), ...cut },
  /** Its connections, or the one to `peer`, break once. */
  break: { target, peer: optional(target, 0.5) },
  /** Connections of snapshots that it sends or receives break once. */
  'break-streams': { target },
  /** The next chunk of a snapshot that it sends or receives lacks a row. */
  'drop-row': { target, ms: duration },
  /** This many of a thousand messages are lost in addition. */
  lossy: { perMille: natural(20, 320), ms: duration },
  /**
   * One frame: the one with this number among all that `from` sends to `to`, from 0 on. Only in harsh schedules, and
   * only a message of Raft. It is lost, or arrives later, or a copy arrives later too.
   */
  message: {
    from: target,
    to: target,
    number: natural(0, 10_000),
    fate: choiceField('lost', 'late', 'doubled'),
    delayMs: natural(1, 1000, DELAY_MS_MAX),
  },
  'slow-link': {
    from: target,
    to: optional(target, 0.5),
    delayMs: natural(10, 1010, DELAY_MS_MAX),
    ms: duration,
  },
  /** Messages from these machines to it arrive late. */
  late: { target, senders: places(), delayMs: natural(1, 4096, DELAY_MS_MAX), ms: duration },
  /** `unheardBy` do not hear it, and it does not hear `deafTo`. */
  'half-deaf': { target, unheardBy: places(0.25), deafTo: places(0.5), ...cut },
  /**
   * A bare majority continues without the rest, and the next fault of this kind chooses another majority. By default,
   * machines that were left out last time are chosen first; fresh: they are not; avoid: these are chosen last.
   */
  'shifting-majority': { target, without: target, fresh: flag(), avoid: places(), ...cut },

  // ---- processes
  /**
   * At once, or when a process reaches this point after passing it `skip` times. silent: the power goes, and no
   * connection is closed; unheard: messages that it has sent and that were not read yet are lost too.
   */
  crash: {
    target,
    point: choiceField(
      ...(['now', 'now', 'now', 'writing', 'stored', 'leaving', 'installing', 'elected'] as const),
    ),
    skip: natural(0, 7),
    inFlight: choiceField(...IN_FLIGHT),
    silent: flag(0.25),
    ms: duration,
    unheard: optional(flag(), 0.25),
  },
  'crash-many': {
    places: places(0, 0.33),
    inFlight: listField(3, ...IN_FLIGHT),
    silent: flag(),
    ms: duration,
  },
  /** The process dies and starts again at once, this many times. */
  storm: { target, times: natural(2, 7, 1000), inFlight: listField(3, ...IN_FLIGHT), ms: duration },
  /** The process is asked to stop, and is started again. */
  stop: { target, ms: duration },
  /** SIGSTOP and SIGCONT. */
  pause: { target, ms: duration },
  'slow-apply': { target, entryMs: natural(20, 1520), ms: duration },
  /** Its disk is lost. It joins with an empty one, if the cluster can bear that. */
  wipe: { target },

  // ---- disks
  'slow-disk': { target, factor: natural(2, 102), ms: duration },
  /** Nothing is written during this time. */
  'stall-disk': { target, ms: duration },
  'fail-sync': { target, inFlight: choiceField('lost', 'kept'), ms: duration },
  /** After this many pages one cannot be read. */
  'fail-read': { target, skip: natural(0, 3), ms: duration },
  'full-disk': { target, ms: duration },
  /**
   * An image of its disk is taken, and put back this much later, if the cluster can bear that and a leader would
   * notice.
   */
  'roll-back': { target, ms: natural(50, 5000) },
  /** One bit of the stored rows: which row, and which bit of it, each modulo their number. */
  'bit-flip': { target, row: natural(0, 65_535), bit: natural(0, 65_535) },

  // ---- ends
  /**
   * Ends the faults of the kind `fault` that last, and whose first machine is `target`; with `peer`, those whose second
   * machine is that one. The first machine of a partition is the first of its smaller side.
   */
  heal: { fault: choiceField(...LASTING_FAULTS), target, peer: optional(target, 0.5) },

  // ---- clocks
  jump: { target, forwardMs: natural(1, 20_000) },
  /** Its clock counts this many milliseconds in a second. */
  skew: { target, perMille: natural(200, 4000, 10_000), ms: duration },

  // ---- operators
  join: { target },
  remove: changeOfAny,
  /** These members in one change. A change that is drawn has one member. */
  'remove-many': { asked: target, places: places() },
  replace: changeOfAny,
  demote: changeOfAny,
  promote: change,
  /** It keeps no entry of its log that is applied, unless a follower that answers needs it. */
  'compact-log': { target, ms: duration },
  /** The leader chooses the target if `to` is undefined. */
  transfer: { target, to: optional(target, 0.67) },
  leases: { target, on: flag(0.67), durationMs: computed(leaseMs) },
  /**
   * The process ends, and is started with the newer build. older: with the one that knows cluster version 1 alone, as
   * long as nobody has raised the version. Only in clusters of both builds.
   */
  build: { target, older: flag(), inFlight: choiceField(...IN_FLIGHT), ms: duration },
  /** The cluster version is raised. Only in clusters of both builds. */
  raise: { target },
} as const satisfies { readonly [kind: string]: FieldShapes }

export type SimFaultKind = keyof typeof FAULT_SHAPES
export const FAULT_KINDS = Object.keys(FAULT_SHAPES) as readonly SimFaultKind[]
/** Faults of clusters with two builds. They are drawn apart (`themes/builds.ts`). */
export const BUILD_FAULTS: readonly SimFaultKind[] = ['build', 'raise']
/** Faults that only a person chooses. */
const CHOSEN_FAULTS: readonly SimFaultKind[] = ['heal', 'skew', 'compact-log', 'remove-many']
/** Faults that are drawn. */
export const DRAWN_FAULTS = FAULT_KINDS.filter((kind) => !CHOSEN_FAULTS.includes(kind))
/** Faults that are drawn for any cluster. Only a search for rare events has `message`, which names one moment. */
export const USUAL_FAULTS = DRAWN_FAULTS.filter((kind) => kind !== 'message' && !BUILD_FAULTS.includes(kind))

type Fields = { readonly [Kind in SimFaultKind]: FieldValues<(typeof FAULT_SHAPES)[Kind]> }
/** Effect of a fault, with its machine and parameters. */
export type FaultAction<Kind extends SimFaultKind = SimFaultKind> = {
  readonly [K in Kind]: { readonly kind: K } & Fields[K]
}[Kind]
/** An action, and when it happens, or from when on it waits for a trigger. */
export type SimFault = { readonly at: number } & TriggerWait & FaultAction

export type LinkCut = FieldValues<typeof cut>
