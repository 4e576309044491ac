// Passwords: their salted hashes, and how they are checked. Nothing of it runs on the event loop, and one computation
// runs at a time, because each takes a core for a tenth of a second.
//
// A password that was right is remembered for a while as a keyed hash. So a client that sends it with each request
// costs little, and one that logs in again gets its token while strangers guess. Wrong passwords delay the next attempt
// of the same user, also one that waits already. A pause follows each of them. So a storm of guesses takes a tenth of
// a core at most, also one that names many users. Names that nobody has wait in a queue of their own, behind the users:
// they cannot be delayed one by one, and would keep all users out. The price is that during a storm a guess shows
// whether there is a user of that name.

import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { AUTH_TOKEN_MS } from './auth-tokens.ts'

/** Parameters of scrypt (RFC 7914): 2^15 blocks of 1 KiB, 32 MiB of memory. */
const [COST_LOG2, BLOCKS, PARALLEL] = [15, 8, 1]
const SALT_BYTES = 16
const HASH_BYTES = 32
const MEMORY_MAX = 64 * 2 ** 20

export const PASSWORD_BYTES_MIN = 8
export const PASSWORD_BYTES_MAX = 1024

/** Computations that wait in a queue, for 16 s at most while all are wrong. More are refused as overloaded. */
const QUEUED_MAX = 16
const QUEUED_MS = 1_000
/** How long a right password is remembered after its last use, and how many are. A token ends sooner. */
const REMEMBERED_MS = 1.5 * AUTH_TOKEN_MS
const REMEMBERED_MAX = 10_000
/** Wrong passwords of a user that are checked at once. */
const FREE_FAILURES = 3
/** The pause after more of them doubles from the first to the last. */
const PAUSE_MS_MIN = 500
const PAUSE_MS_MAX = 30_000
/** After a wrong password no other one is checked for so long: nine times as long as a computation. */
const REST_MS = 900
/** Users with wrong passwords that are remembered. */
const FAILING_MAX = 10_000

/** Too many passwords wait to be checked, or a user must wait after wrong ones. */
export class PasswordsBusyError extends Error {
  readonly retryAfterMs: number

  constructor(message: string, retryAfterMs: number) {
    super(message)
    this.retryAfterMs = retryAfterMs
  }
}

type Checked = (error: Error | undefined, isRight: boolean) => void

interface Failures {
  readonly count: number
  /** No password is checked before, on the clock of `performance.now()`. */
  readonly pauseUntil: number
}

export class Passwords {
  /** It never leaves the process. */
  readonly #secret = randomBytes(32)
  readonly #right = new Map<string, number>()
  readonly #failures = new Map<string, Failures>()
  readonly #queue: (() => void)[] = []
  /** The queue of names that nobody has. */
  readonly #unknownNames: (() => void)[] = []
  readonly #restMs: number
  #isRunning = false
  #isResting = false

  constructor(restMs = REST_MS) {
    this.#restMs = restMs
  }

  /** Computations that wait or run. */
  get size(): number {
    return this.#queue.length + this.#unknownNames.length + Number(this.#isRunning)
  }

  hash(password: string, done: (error: Error | undefined, hash: string) => void): void {
    const salt = randomBytes(SALT_BYTES)
    this.#compute(this.#queue, password, salt, COST_LOG2, (error, key) => {
      if (error !== undefined) return done(error, '')
      const fields = [COST_LOG2, BLOCKS, PARALLEL, salt.toString('base64url'), key.toString('base64url')]
      done(undefined, `scrypt$${fields.join('$')}`)
    })
  }

  /** Whether it is known to be right without a computation. */
  isKnown(user: string, password: string, hash: string): boolean {
    const until = this.#right.get(this.#nameOf(user, password, hash))
    return until !== undefined && until > performance.now()
  }

  /** `hash`: undefined: the user is unknown, or has no password. That takes as long as a wrong password. */
  check(user: string, password: string, hash: string | undefined, done: Checked) {
    if (this.#decide(user, password, hash, done)) return
    if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX) return done(undefined, false)
    const { costLog2, salt, key: expected } = parseHash(hash ?? NO_HASH)
    const checked = (error: Error | undefined, key: Buffer) => {
      if (error !== undefined) return done(error, false)
      const isRight = hash !== undefined && timingSafeEqual(key, expected)
      if (isRight) this.#remember(this.#nameOf(user, password, hash))
      if (isRight) this.#failures.delete(user)
      else {
        this.#failed(user)
        this.#rest()
      }
      done(undefined, isRight)
    }
    // Attempts before it in the queue may have decided it too.
    const decide = (): boolean => this.#decide(user, password, hash, done)
    const queue = hash === undefined ? this.#unknownNames : this.#queue
    this.#compute(queue, password, salt, costLog2, checked, decide)
  }

  /** Calls `done` if the password is known to be right, or if its user must wait. Returns whether it has. */
  #decide(user: string, password: string, hash: string | undefined, done: Checked): boolean {
    const isKnown = hash !== undefined && this.isKnown(user, password, hash)
    if (isKnown) this.#remember(this.#nameOf(user, password, hash))
    const leftMs = (this.#failures.get(user)?.pauseUntil ?? 0) - performance.now()
    if (isKnown) done(undefined, true)
    else if (leftMs > 0) done(tooMany(leftMs), false)
    return isKnown || leftMs > 0
  }

  #remember(name: string): void {
    this.#right.delete(name)
    this.#right.set(name, performance.now() + REMEMBERED_MS)
    dropOldest(this.#right, REMEMBERED_MAX)
  }

  #failed(user: string): void {
    const count = (this.#failures.get(user)?.count ?? 0) + 1
    const pauseMs = count < FREE_FAILURES ? 0 : PAUSE_MS_MIN * 2 ** Math.min(count - FREE_FAILURES, 16)
    this.#failures.delete(user)
    this.#failures.set(user, { count, pauseUntil: performance.now() + Math.min(pauseMs, PAUSE_MS_MAX) })
    dropOldest(this.#failures, FAILING_MAX)
  }

  #rest(): void {
    if (this.#restMs === 0) return
    this.#isResting = true
    setTimeout(() => {
      this.#isResting = false
      this.#next()
    }, this.#restMs).unref()
  }

  #nameOf(user: string, password: string, hash: string): string {
    const fields = [user, password, hash].map((field) => `${field.length}:${field}`)
    return createHmac('sha256', this.#secret).update(fields.join('')).digest('base64url')
  }

  /** `decide`: called when the computation would begin, which is dropped if it returns true. */
  #compute(
    queue: (() => void)[],
    password: string,
    salt: Buffer,
    costLog2: number,
    done: (error: Error | undefined, key: Buffer) => void,
    decide: () => boolean = () => false,
  ): void {
    if (queue.length >= QUEUED_MAX) {
      done(new PasswordsBusyError(`${QUEUED_MAX} passwords are waiting to be checked`, QUEUED_MS), NO_KEY)
      return
    }
    const options = { N: 2 ** costLog2, r: BLOCKS, p: PARALLEL, maxmem: MEMORY_MAX }
    queue.push(() => {
      if (decide()) return
      this.#isRunning = true
      scrypt(password, salt, HASH_BYTES, options, (error, key) => {
        this.#isRunning = false
        if (error === null) done(undefined, key)
        else done(error, NO_KEY)
        this.#next()
      })
    })
    this.#next()
  }

  #next(): void {
    while (!this.#isRunning && !this.#isResting) {
      const begin = this.#queue.shift() ?? this.#unknownNames.shift()
      if (begin === undefined) return
      begin()
    }
  }
}

/** Why a user may not have this password; undefined: it is allowed. */
export function passwordFault(password: string): string | undefined {
  const bytes = Buffer.byteLength(password)
  if (bytes >= PASSWORD_BYTES_MIN && bytes <= PASSWORD_BYTES_MAX) return undefined
  return `a password has from ${PASSWORD_BYTES_MIN} to ${PASSWORD_BYTES_MAX} bytes, not ${bytes}`
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

const tooMany = (leftMs: number): Error =>
  new PasswordsBusyError('too many wrong passwords of this user: try again later', Math.ceil(leftMs))

/** A Map has its keys in the order in which they were added. */
function dropOldest(map: Map<string, unknown>, max: number): void {
  for (const name of map.keys()) {
    if (map.size <= max) return
    map.delete(name)
  }
}
