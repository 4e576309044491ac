// Which faults there are, and what each of them says: plain data (shape.ts). What each does is in faults.ts and the
// files beside it.

import {
  computed,
  type Drawing,
  duration,
  flag,
  listOf,
  natural,
  oneOf,
  optional,
  places,
  type Shape,
  target,
  type Values,
} from './shape.ts'
import { TRIGGERS, type Waiting } from './waiting.ts'

const [firstTrigger, ...otherTriggers] = TRIGGERS

/**
 * Of what cuts links. stalls: bytes wait until the end instead of vanishing; refuses: calls are refused instead of
 * ignored; breaks: connections break at once; until: it ends at such a trigger about whom it strikes, if that comes
 * first.
 */
const cut = {
  ms: duration,
  stalls: flag(),
  refuses: flag(),
  breaks: flag(),
  until: optional(oneOf(firstTrigger, ...otherTriggers), 0),
}

/** What becomes of the batch that is being written. */
const IN_FLIGHT = ['lost', 'kept', 'torn'] as const

/**
 * Of a change of the membership. asked: who is asked for it; member: whom it is about, a number among the members or a
 * role; evenSmall: of no more than three voters, too.
 */
const change = { asked: target, member: computed(({ rng }) => rng.int(0, 12)), evenSmall: flag(0.3) }
/** deletedAfterMs: so long after the operator was told that it is done, the machine that it lets go is deleted. */
const changeOfAny = { ...change, member: target, deletedAfterMs: optional(natural(0, 60), 0.3) }

const leaseMs = ({ rng, config }: Drawing): number => config.electionMinMs * rng.pick(0.5, 1, 1, 3)

export const FAULT_SHAPES = {
  // ---- network
  /** These on one side, the others on the other. */
  partition: { side: places(), ...cut },
  /** Alone, or with one companion. */
  isolate: { target, companion: optional(target, 0.5), ...cut },
  /** Everybody sees a majority, and no two the same one. */
  ring: cut,
  /** Two halves, and one that sees both. */
  bridge: { target, half: places(), ...cut },
  'one-way': { from: target, to: target, ...cut },
  /** It hears nobody, or nobody hears it. */
  deaf: { target, direction: oneOf('in', 'out'), ...cut },
  /** Its links, or the one to `peer`, are cut and mended by turns. */
  flap: { target, peer: optional(target, 0.5), periodMs: natural(20, 520), ...cut },
  /** Its connections, or the one to `peer`, break once. */
  break: { target, peer: optional(target, 0.5) },
  /** Connections of snapshots that it sends or receives break once. */
  'break-streams': { target },
  /** The next chunk of a snapshot that it sends or receives lacks a row. */
  'drop-row': { target, ms: duration },
  /** So many of a thousand messages more are lost. */
  lossy: { perMille: natural(20, 320), ms: duration },
  'slow-link': { from: target, to: optional(target, 0.5), delayMs: natural(10, 1010), ms: duration },
  /** What these send it arrives late. */
  late: { target, senders: places(), delayMs: natural(1, 4096), ms: duration },
  /** These do not hear it, and it does not hear those. */
  'half-deaf': { target, unheardBy: places(0.25), deafTo: places(0.5), ...cut },
  /**
   * A bare majority goes on without the rest, and the next fault of this kind shifts it. fresh: those that were left
   * out last time do not come first; avoid: these come last.
   */
  'shifting-majority': { target, without: target, fresh: flag(), avoid: places(), ...cut },

  // ---- processes
  /**
   * At once, or when such a point is reached for the time after `skip` others. silent: the power goes, and no
   * connection is closed; unheard: what it has sent, and nobody has read yet, is lost with it.
   */
  crash: {
    target,
    point: oneOf(
      ...(['now', 'now', 'now', 'writing', 'stored', 'leaving', 'installing', 'elected'] as const),
    ),
    skip: natural(0, 7),
    inFlight: oneOf(...IN_FLIGHT),
    silent: flag(0.25),
    ms: duration,
    unheard: optional(flag(), 0.25),
  },
  'crash-many': { places: places(0, 0.33), inFlight: listOf(3, ...IN_FLIGHT), silent: flag(), ms: duration },
  /** It dies and starts at once, so many times. */
  storm: { target, times: natural(2, 7), inFlight: listOf(3, ...IN_FLIGHT), ms: duration },
  /** It is asked to stop, and comes back. */
  stop: { target, ms: duration },
  /** SIGSTOP and SIGCONT. */
  pause: { target, ms: duration },
  'slow-apply': { target, entryMs: natural(20, 1520), ms: duration },
  /** Its disk is lost: it joins on an empty one, where the cluster bears that. */
  wipe: { target },

  // ---- disks
  'slow-disk': { target, factor: natural(2, 102), ms: duration },
  /** Nothing is written meanwhile. */
  'stall-disk': { target, ms: duration },
  'fail-sync': { target, inFlight: oneOf('lost', 'kept'), ms: duration },
  /** After so many pages one cannot be read. */
  'fail-read': { target, skip: natural(0, 3), ms: duration },
  'full-disk': { target, ms: duration },
  /** An image of its disk is taken, and put back so much later, where the cluster bears that and somebody notices. */
  'roll-back': { target, ms: natural(50, 5000) },
  /** One bit of what is stored: which row, and which bit of it, each modulo how many there are. */
  'bit-flip': { target, row: natural(0, 65_535), bit: natural(0, 65_535) },

  // ---- clocks
  jump: { target, forwardMs: natural(1, 20_000) },

  // ---- operators
  join: { target },
  remove: changeOfAny,
  replace: changeOfAny,
  demote: changeOfAny,
  promote: change,
  /** To whom the leader likes, where nobody is named. */
  transfer: { target, to: optional(target, 0.67) },
  leases: { target, on: flag(0.67), durationMs: computed(leaseMs) },
} as const satisfies { readonly [kind: string]: Shape }

export type FaultKind = keyof typeof FAULT_SHAPES
export const FAULT_KINDS = Object.keys(FAULT_SHAPES) as readonly FaultKind[]

type Fields = { readonly [Kind in FaultKind]: Values<(typeof FAULT_SHAPES)[Kind]> }
/** What is done, to whom, and how. */
export type FaultAction<Kind extends FaultKind = FaultKind> = {
  readonly [K in Kind]: { readonly kind: K } & Fields[K]
}[Kind]
/** An action, and from when on; or for which trigger it waits from then on. */
export type Fault = { readonly at: number } & Waiting & FaultAction

export type Cut = Values<typeof cut>
