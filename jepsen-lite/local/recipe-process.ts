// Clients that use a recipe, in a process of their own: the run stops it in the middle of what it holds, or kills it.
// It tells the run what it begins and how that ended.

import { setTimeout as sleep } from 'node:timers/promises'
import { Client, QuorateError } from '../../src/client/index.ts'
import {
  type HeldLock,
  ItemLostError,
  type Leadership,
  LockLostError,
  LockNotTakenError,
  lock,
  queue,
  runAsLeader,
} from '../../src/recipes/index.ts'
import type { Result, StoreOperation } from '../history.ts'
import { Random } from '../random.ts'
import type { FromRecipes, RecipeEnd, RecipeOrder, ToRecipes } from './recipe-messages.ts'

/** Of locks and elections. A process is often stopped for longer. */
const TTL_MS = 2_000
const WAIT_MS = 4_000
/** Of each request to the cluster. */
const TIMEOUT_MS = 2_000
const NAMES = ['a', 'b', 'c', 'd', 'e']
const PRIORITIES = 3
/** Of queues: consumers are often silent for longer. */
const VISIBILITY_MS = 2_000
/** No item becomes a dead letter. */
const ATTEMPTS_MAX = 1_000

const over = new AbortController()
let refs = 0

const tell = (message: FromRecipes): void => void process.send?.(message)
const endNow = (): boolean => process.kill(process.pid, 'SIGKILL')
process.on('disconnect', endNow)
for (const signal of ['SIGINT', 'SIGHUP', 'SIGTERM'] as const) process.on(signal, () => {})
process.on('message', (message: ToRecipes) => {
  if (message.kind === 'stop') over.abort()
  else void begin(message.order)
})

async function begin(order: RecipeOrder): Promise<void> {
  const loops = { lock: locks, queue: queues, election: elections }
  const kv = new Client({ endpoints: order.endpoints, timeoutMs: TIMEOUT_MS })
  const run = (at: number): Promise<void> => {
    const random = new Random(order.seed).named(`client ${at}`)
    const one: One = {
      ...{ kv, random, client: at },
      pause: () => rest((-Math.log(1 - random.next()) * 1_000) / order.rate),
    }
    return loops[order.recipe](one)
  }
  try {
    await Promise.all(Array.from({ length: order.clients }, (_, at) => run(at)))
  } catch (error) {
    tell({ kind: 'wrong', message: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  }
  await kv.close()
  process.off('disconnect', endNow)
  process.disconnect()
}

interface One {
  readonly kv: Client
  readonly random: Random
  readonly client: number
  pause(): Promise<void>
}

const rest = (ms: number): Promise<void> => sleep(ms, undefined, { signal: over.signal }).catch(() => {})

// ---------------------------------------------------------------------------------------------------------------------

/** Tells that it begins; the returned function tells how it ended. */
function invoke(client: number, op: StoreOperation): (end: RecipeEnd) => void {
  refs += 1
  const ref = refs
  tell({ kind: 'invoke', ref, client, op })
  return (end) => tell({ kind: 'end', ref, end })
}

const ok = (result: Result = {}): RecipeEnd => ({ kind: 'ok', result })

/** Of a recipe. An error that says that nothing was written is a failure, and everything in doubt is unknown. */
function endOf(error: unknown): RecipeEnd {
  const isLost = error instanceof LockLostError || error instanceof ItemLostError
  if (isLost || error instanceof LockNotTakenError) return ok({ applied: false })
  if (!(error instanceof QuorateError)) throw error
  return { kind: error.written === 'no' ? 'fail' : 'unknown', why: error.code }
}

async function done(client: number, op: StoreOperation, act: () => Promise<Result>): Promise<boolean> {
  const end = invoke(client, op)
  try {
    const result = await act()
    end(ok(result))
    return true
  } catch (error) {
    end(endOf(error))
    return false
  }
}

// ---- locks

async function locks(one: One): Promise<void> {
  const { kv, random, client } = one
  while (!over.signal.aborted) {
    await one.pause()
    const name = random.pick(NAMES)
    const end = invoke(client, { f: 'lock', name })
    let held: HeldLock
    try {
      held = await lock(kv, name, { ttlMs: TTL_MS, waitMs: WAIT_MS })
    } catch (error) {
      end(endOf(error))
      continue
    }
    const { token } = held
    end(ok({ token }))
    await work(one, name, held)
    await done(client, { f: 'unlock', name, token }, async () => {
      await held.release()
      return {}
    })
    await tryLate(one, name, held)
  }
}

/** It has the lock no more, and tries all the same, mostly when another one has it. */
async function tryLate(one: One, name: string, held: Holding): Promise<void> {
  if (!one.random.chance(0.3)) return
  await rest(one.random.pick([0, 100, 500]))
  await guarded(one, name, held, true)
}

type Holding = Pick<HeldLock, 'token' | 'signal' | 'guard' | 'txn'>

/** Some changes under the guard; also after it may have lost it, since a process that was stopped does not know. */
async function work(one: One, name: string, held: Holding): Promise<void> {
  const { random } = one
  for (let left = 1 + random.below(5); left > 0 && !over.signal.aborted; left--) {
    await guarded(one, name, held, random.chance(0.5))
    await one.pause()
    // It holds it for longer than its lease lasts: somebody keeps that alive.
    if (random.chance(0.02)) await rest(TTL_MS + 1_000)
  }
}

let values = 0

/** `isBlind`: it does not look at the clock before; only the store decides. */
async function guarded(one: One, name: string, held: Holding, isBlind: boolean): Promise<void> {
  const { kv, client } = one
  const { token } = held
  values += 1
  const [key, value] = [`guarded/${name}`, `${process.pid}.${client}.${values}`]
  const put = { put: { key, value } }
  await done(client, { f: 'guarded-put', name, token, key, value }, async () => {
    if (!isBlind) return { revision: (await held.txn({ success: [put] })).revision }
    const { succeeded, revision } = await kv.txn({ compare: [held.guard()], success: [put] })
    return succeeded ? { revision } : { applied: false, revision }
  })
}

// ---- elections

async function elections(one: One): Promise<void> {
  const { kv, random, client } = one
  while (!over.signal.aborted) {
    await one.pause()
    const name = random.pick(NAMES)
    let end: ReturnType<typeof invoke> | undefined = invoke(client, { f: 'lock', name })
    let last: Leadership | undefined
    const giveUp = AbortSignal.any([over.signal, AbortSignal.timeout(2 * WAIT_MS)])
    try {
      await runAsLeader(
        kv,
        name,
        async (leadership) => {
          // It may lead again after it was stopped.
          const begun = end ?? invoke(client, { f: 'lock', name })
          end = undefined
          last = leadership
          begun(ok({ token: leadership.token }))
          await work(one, name, leadership)
        },
        { ttlMs: TTL_MS, signal: giveUp, onError: () => {} },
      )
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error
      end?.(ok({ applied: false }))
    }
    if (last !== undefined) await tryLate(one, name, last)
  }
}

// ---- queues

async function queues(one: One): Promise<void> {
  const { kv, random, client } = one
  const jobs = queue(kv, 'jobs', { visibilityMs: VISIBILITY_MS, attemptsMax: ATTEMPTS_MAX })
  while (!over.signal.aborted) {
    await one.pause()
    if (random.chance(0.45)) {
      values += 1
      const [value, priority] = [`${process.pid}.${client}.${values}`, random.below(PRIORITIES)]
      await done(client, { f: 'push', queue: 'jobs', value, priority }, async () => ({
        item: await jobs.push(value, { priority }),
      }))
      continue
    }
    const end = invoke(client, { f: 'pop', queue: 'jobs' })
    try {
      const item = await jobs.pop({ waitMs: random.pick([0, 0, 500]) })
      if (item === undefined) {
        end(ok({ value: null }))
        continue
      }
      const { id, token, attempts, priority } = item
      end(ok({ item: id, token, attempts, priority, value: item.text() }))
      // What has come back is kept for a while: the one who had it before may still believe that it is his.
      await rest(attempts > 1 ? random.between(0, VISIBILITY_MS / 2) : random.pick([0, 0, 0, 20, 200]))
      const draw = random.next()
      const settled = { queue: 'jobs', item: id, token }
      // Forgotten: it comes back by itself.
      if (draw < 0.05) continue
      // Kept for longer than it may be: another one has it by now.
      if (draw < 0.15) await rest(VISIBILITY_MS * random.between(1, 1.5))
      await (draw > 0.9
        ? done(client, { f: 'nack', ...settled }, () => item.nack().then(() => ({})))
        : done(client, { f: 'ack', ...settled }, () => item.ack().then(() => ({}))))
    } catch (error) {
      end(endOf(error))
    }
  }
}
