// Passwords: their salted hashes, and how they are checked. Nothing of it runs on the event loop, and one computation
// runs at a time, because each takes a core for a tenth of a second.
//
// A password that was right is remembered for a while as a keyed hash. So a client that sends it with each request
// costs little, and one that logs in again gets its token while others guess.
//
// The network of a client tells guesses from logins. Wrong passwords delay the next attempt from the same network for
// the same user, and no other. A network with some wrong passwords waits in a lane of its own, which has one
// computation a second. So do names that nobody has. All others have the rest, in turns by network: a user who comes
// from elsewhere hardly waits. So a storm from few networks takes a tenth of a core, and one from many takes two
// thirds at most. During a storm a guess may show whether there is a user of that name.

import crypto, { createHmac, scrypt, timingSafeEqual } from 'node:crypto'
import { networkPrefix } from '../../system/addresses.ts'
import { FairQueue } from './fair-queue.ts'

/** Parameters of scrypt (RFC 7914): 2^15 blocks of 1 KiB, 32 MiB of memory. */
const [COST_LOG2, BLOCKS, PARALLEL] = [15, 8, 1]
const SALT_BYTES = 16
const HASH_BYTES = 32
const MEMORY_MAX = 64 * 2 ** 20

const PASSWORD_BYTES_MIN = 8
const PASSWORD_BYTES_MAX = 1024

/** Computations that wait in each lane. More are refused as overloaded, first those of the network with most. */
const QUEUED_MAX = 16
const QUEUED_MS = 1_000
/** How long a right password is remembered after its last use, and how many are. By default a token ends sooner. */
const REMEMBERED_MS = 15 * 60_000
const REMEMBERED_MAX = 10_000
/** Wrong passwords of a user from one network that are checked at once. */
const FREE_FAILURES = 3
/** The pause after more of them doubles from the first to the last. */
const PAUSE_MS_MIN = 500
const PAUSE_MS_MAX = 30_000
/** After a wrong password no other one is checked for so long: as long as a computation. */
const REST_MS = 100
/** Interval of computations for networks with wrong passwords, and for names that nobody has. */
const SUSPECT_EVERY_MS = 1_000
/** Wrong passwords after which a network waits in the other lane, for so long after the last one. */
const SUSPECT_FAILURES = 3
const SUSPECT_MS = 60 * 60_000
/** A /48 of IPv6 may have so many times the wrong passwords of a /64. */
const PROVIDER_NETWORKS = 16
/** Pairs of a user and a network, and networks, with wrong passwords that are remembered. */
const FAILING_MAX = 10_000

/** Too many passwords wait to be checked, or a user must wait after wrong ones. */
export class PasswordsBusyError extends Error {
  readonly retryAfterMs: number

  constructor(message: string, retryAfterMs: number) {
    super(message)
    this.retryAfterMs = retryAfterMs
  }
}

type CheckCallback = (error: Error | undefined, isRight: boolean) => void

interface Failures {
  readonly count: number
  /** On the clock of `performance.now()`: of a pair, no password is checked before; of a network, it is forgotten. */
  readonly until: number
}

interface Attempt {
  /** Begins the computation, unless an attempt before it has decided this one. */
  readonly begin: () => void
  readonly refuse: (error: Error) => void
}

const LANES = ['hashes', 'trusted', 'suspect'] as const
type Lane = (typeof LANES)[number]

export class Passwords {
  /** Key of the hashes that are remembered. It never leaves the process. */
  readonly #secret = crypto.randomBytes(32)
  readonly #right = new Map<string, number>()
  /** Failed checks by user and network. */
  readonly #failures = new Map<string, Failures>()
  /** Failed checks by network. */
  readonly #suspects = new Map<string, Failures>()
  readonly #lanes: Readonly<Record<Lane, FairQueue<Attempt>>>
  readonly #restMs: number
  readonly #suspectEveryMs: number
  #isRunning = false
  #restsUntil = Number.NEGATIVE_INFINITY
  #suspectsFrom = Number.NEGATIVE_INFINITY
  /** The lane that had the last computation. */
  #last: Lane = 'hashes'
  #timer: NodeJS.Timeout | undefined

  constructor({ restMs = REST_MS, suspectEveryMs = SUSPECT_EVERY_MS } = {}) {
    this.#restMs = restMs
    this.#suspectEveryMs = suspectEveryMs
    const lane = () => new FairQueue<Attempt>(QUEUED_MAX, ({ refuse }) => refuse(tooManyWait()))
    this.#lanes = { hashes: lane(), trusted: lane(), suspect: lane() }
  }

  /** Computations that wait or run. */
  get size(): number {
    return LANES.reduce((sum, lane) => sum + this.#lanes[lane].size, Number(this.#isRunning))
  }

  /** `by`: the user who asks for it. Users take turns. */
  hash(password: string, by: string, done: (error: Error | undefined, hash: string) => void): void {
    const salt = crypto.randomBytes(SALT_BYTES)
    this.#compute('hashes', by, password, salt, COST_LOG2, (error, key) => {
      if (error !== undefined) return done(error, '')
      const fields = [COST_LOG2, BLOCKS, PARALLEL, salt.toString('base64url'), key.toString('base64url')]
      done(undefined, `scrypt$${fields.join('$')}`)
    })
  }

  /** Whether it is known to be right without a computation. */
  isKnown(user: string, password: string, hash: string): boolean {
    const until = this.#right.get(this.#pairName(user, password, hash))
    return until !== undefined && until > performance.now()
  }

  /**
   * `hash`: undefined: the user is unknown, or has no password. That takes as long as a wrong password. `address`: of
   * the client.
   */
  check(user: string, password: string, hash: string | undefined, address: string, done: CheckCallback) {
    const network = networkPrefix(address)
    const pair = `${network} ${user}`
    if (this.#decide(pair, user, password, hash, done)) return
    if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX) return done(undefined, false)
    const { costLog2, salt, key: expected } = parseHash(hash ?? NO_HASH)
    const checked = (error: Error | undefined, key: Buffer) => {
      if (error !== undefined) return done(error, false)
      const isRight = hash !== undefined && timingSafeEqual(key, expected)
      if (isRight) this.#remember(this.#pairName(user, password, hash))
      if (isRight) this.#failures.delete(pair)
      else {
        this.#failed(pair, network)
        this.#restsUntil = performance.now() + this.#restMs
      }
      done(undefined, isRight)
    }
    // Attempts before it in the queue may have decided it too.
    const decide = (): boolean => this.#decide(pair, user, password, hash, done)
    const lane = hash === undefined || this.#isSuspect(network) ? 'suspect' : 'trusted'
    this.#compute(lane, network, password, salt, costLog2, checked, decide)
  }

  /** Calls `done` if the password is known to be right, or if its user must wait. Returns whether it has. */
  #decide(
    pair: string,
    user: string,
    password: string,
    hash: string | undefined,
    done: CheckCallback,
  ): boolean {
    const isKnown = hash !== undefined && this.isKnown(user, password, hash)
    if (isKnown) this.#remember(this.#pairName(user, password, hash))
    const leftMs = (this.#failures.get(pair)?.until ?? 0) - performance.now()
    if (isKnown) done(undefined, true)
    else if (leftMs > 0) done(tooMany(leftMs), false)
    return isKnown || leftMs > 0
  }

  #isSuspect(network: string): boolean {
    const now = performance.now()
    return [network, providerNetwork(network)].some((name) => {
      const { count = 0, until = 0 } = this.#suspects.get(name) ?? {}
      return count >= SUSPECT_FAILURES && until > now
    })
  }

  #remember(name: string): void {
    this.#right.delete(name)
    this.#right.set(name, performance.now() + REMEMBERED_MS)
    dropOldest(this.#right, REMEMBERED_MAX)
  }

  #failed(pair: string, network: string): void {
    const now = performance.now()
    const count = (this.#failures.get(pair)?.count ?? 0) + 1
    const pauseMs = count < FREE_FAILURES ? 0 : PAUSE_MS_MIN * 2 ** Math.min(count - FREE_FAILURES, 16)
    replace(this.#failures, pair, { count, until: now + Math.min(pauseMs, PAUSE_MS_MAX) })
    this.#suspect(network, 1)
    const provider = providerNetwork(network)
    if (provider !== network) this.#suspect(provider, 1 / PROVIDER_NETWORKS)
  }

  #suspect(name: string, failures: number): void {
    const now = performance.now()
    const { count = 0, until = 0 } = this.#suspects.get(name) ?? {}
    replace(this.#suspects, name, { count: (until > now ? count : 0) + failures, until: now + SUSPECT_MS })
  }

  #pairName(user: string, password: string, hash: string): string {
    const fields = [user, password, hash].map((field) => `${field.length}:${field}`)
    return createHmac('sha256', this.#secret).update(fields.join('')).digest('base64url')
  }

  /** `decide`: called when the computation would begin, which is dropped if it returns true. */
  #compute(
    lane: Lane,
    network: string,
    password: string,
    salt: Buffer,
    costLog2: number,
    done: (error: Error | undefined, key: Buffer) => void,
    decide: () => boolean = () => false,
  ): void {
    const options = { N: 2 ** costLog2, r: BLOCKS, p: PARALLEL, maxmem: MEMORY_MAX }
    const refuse = (error: Error): void => done(error, NO_KEY)
    const begin = (): void => {
      if (decide()) return
      this.#isRunning = true
      this.#last = lane
      if (lane === 'suspect') this.#suspectsFrom = performance.now() + this.#suspectEveryMs
      scrypt(password, salt, HASH_BYTES, options, (error, key) => {
        this.#isRunning = false
        if (error === null) done(undefined, key)
        else refuse(error)
        this.#next()
      })
    }
    if (this.#lanes[lane].add(network, { begin, refuse })) this.#next()
    else refuse(tooManyWait())
  }

  #next(): void {
    clearTimeout(this.#timer)
    while (!this.#isRunning) {
      const waitMs = Math.max(0, this.#restsUntil - performance.now())
      const attempt = waitMs === 0 ? this.#take() : undefined
      if (attempt !== undefined) attempt.begin()
      else {
        if (this.size > 0) this.#nextIn(Math.max(waitMs, this.#isIdle ? this.#suspectsInMs : 0))
        return
      }
    }
  }

  /** Whether nobody but suspects waits. */
  get #isIdle(): boolean {
    return this.#lanes.hashes.size + this.#lanes.trusted.size === 0
  }

  get #suspectsInMs(): number {
    return Math.max(0, this.#suspectsFrom - performance.now())
  }

  #nextIn(ms: number): void {
    this.#timer = setTimeout(() => this.#next(), Math.ceil(ms)).unref()
  }

  /** Suspects have their turn when it is due. The other two lanes take turns. */
  #take(): Attempt | undefined {
    const { hashes, trusted, suspect } = this.#lanes
    const due = this.#suspectsInMs === 0 ? suspect.take() : undefined
    const [first, second] = this.#last === 'hashes' ? [trusted, hashes] : [hashes, trusted]
    return due ?? first.take() ?? second.take()
  }
}

/** Why a user may not have this password; undefined: it is allowed. */
export function passwordFault(password: string, bytesMin = PASSWORD_BYTES_MIN): string | undefined {
  const bytes = Buffer.byteLength(password)
  if (bytes >= bytesMin && bytes <= PASSWORD_BYTES_MAX) return undefined
  return `a password has from ${bytesMin} to ${PASSWORD_BYTES_MAX} bytes, not ${bytes}`
}

function parseHash(hash: string): { costLog2: number; salt: Buffer; key: Buffer } {
  const [kind, costLog2, blocks, parallel, salt = '', key = ''] = hash.split('$')
  if (kind !== 'scrypt' || Number(blocks) !== BLOCKS || Number(parallel) !== PARALLEL)
    throw new Error(`a password hash of kind ${kind} is not known to this program`)
  return {
    costLog2: Number(costLog2),
    salt: Buffer.from(salt, 'base64url'),
    key: Buffer.from(key, 'base64url'),
  }
}

/** The hash with which the password of an unknown user is compared. */
const NO_HASH = `scrypt$${COST_LOG2}$${BLOCKS}$${PARALLEL}$${'A'.repeat(22)}$${'A'.repeat(43)}`
const NO_KEY = Buffer.alloc(0)

const tooManyWait = (): Error =>
  new PasswordsBusyError(`${QUEUED_MAX} passwords are waiting to be checked`, QUEUED_MS)

const tooMany = (leftMs: number): Error =>
  new PasswordsBusyError(
    'too many wrong passwords of this user from this address: try again later',
    Math.ceil(leftMs),
  )

/** The /48 of a /64: whoever has one usually has many of the other. */
const providerNetwork = (network: string): string => network.replace(/^(.*):[^:]+::\/64$/, '$1::/48')

function replace(map: Map<string, Failures>, name: string, failures: Failures): void {
  map.delete(name)
  map.set(name, failures)
  dropOldest(map, FAILING_MAX)
}

/** A Map has its keys in the order in which they were added. */
function dropOldest(map: Map<string, unknown>, max: number): void {
  for (const name of map.keys()) {
    if (map.size <= max) return
    map.delete(name)
  }
}
