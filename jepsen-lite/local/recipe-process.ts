// Clients that use a recipe, in a process of their own: the run stops it in the middle of what it holds, or kills it.
// It tells the run what it begins and how that ended.

import { pause } from '../../src/client/timer.ts'
import { runRecipe } from '../recipes/clients.ts'
import type { OperationEnd, StoreOperation } from '../workload/history.ts'
import { Random } from '../workload/random.ts'
import type { FromRecipes, RecipeOrder, ToRecipes } from './recipe-messages.ts'
import { WIRES } from './wires/index.ts'

/** Time to live of locks, elections and held items. A process is often stopped for longer. */
const TTL_MS = 2_000
/** Timeout of each request to the cluster. */
const TIMEOUT_MS = 2_000

const over = new AbortController()
let refs = 0
let values = 0

const report = (message: FromRecipes): void => void process.send?.(message)
const endNow = (): boolean => process.kill(process.pid, 'SIGKILL')
process.on('disconnect', endNow)
for (const signal of ['SIGINT', 'SIGHUP', 'SIGTERM'] as const) process.on(signal, () => {})
process.on('message', (message: ToRecipes) => {
  if (message.kind === 'stop') over.abort()
  else void begin(message.order)
})

async function begin(order: RecipeOrder): Promise<void> {
  const { wire, ...connection } = order.connection
  const kv = WIRES[wire].createLibraryClient({ ...connection, timeoutMs: TIMEOUT_MS })
  const run = (at: number): Promise<void> => {
    const random = new Random(order.seed).named(`client ${at}`)
    return runRecipe(order.recipe, {
      kv,
      random,
      ttlMs: TTL_MS,
      over: over.signal,
      rest,
      value: () => `${process.pid}.${values++}`,
      pause: () => rest((-Math.log(1 - random.next()) * 1_000) / order.rate),
      invoke: (op) => invoke(at, op),
    })
  }
  try {
    await Promise.all(Array.from({ length: order.clients }, (_, at) => run(at)))
  } catch (error) {
    report({
      kind: 'wrong',
      message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    })
  }
  await kv.close()
  process.off('disconnect', endNow)
  process.disconnect()
}

const rest = (ms: number): Promise<void> => pause(ms, over.signal)

/** Reports the invocation to the runner. The returned function reports the outcome. */
function invoke(client: number, op: StoreOperation): (end: OperationEnd) => void {
  refs += 1
  const ref = refs
  report({ kind: 'invoke', ref, client, op })
  return (end) => report({ kind: 'end', ref, end })
}
