// Tests of recipes in a simulation (jepsen-lite/simulation): `it` runs each in one of its own, with a cluster of one
// node, in virtual time.

import { syncBuiltinESMExports } from 'node:module'
import os from 'node:os'
import { expect, it as test, vi } from 'vitest'
import type { SimulatedNode, World } from '../../jepsen-lite/simulation/types.ts'
import { simulate } from '../../jepsen-lite/testing/simulate.ts'
import { Random } from '../../jepsen-lite/workload/random.ts'
import { Client } from '../../src/client/index.ts'
import type { Transport } from '../../src/client/transport/transport.ts'

/** Virtual time after which a test has failed. */
const TEST_MS_MAX = 300_000
/** Virtual time in which a polled condition must become true, and the pause between two checks. */
const [POLL_MS_MAX, POLL_PAUSE_MS] = [60_000, 10]
/** Leases may live for a second: twice the longest election timeout. */
const TIMING = { electionMinMs: 250, electionMaxMs: 500 }
const ELECTION_MS = 1_500
const SEED_MAX = 2 ** 32

/** A client of the present test. */
export let kv: Client
let world: World

interface SimulatedTests {
  /** Default: the seed of the test. */
  readonly seed?: number | undefined
  /** Time limit of the calls of `kv`. */
  readonly timeoutMs?: number
  /** Prefixes below which a test leaves no key. It leaves no lease either. */
  readonly emptied?: readonly string[]
}

type Body<Args extends unknown[] = []> = (...args: Args) => unknown
interface It {
  (name: string, body: Body): void
  each: typeof test.each
}

/** All that is drawn in a test follows from its name. */
const seedOfTest = (): number => new Random(expect.getState().currentTestName ?? '').below(SEED_MAX)

/** Runs a body in a simulation, and resolves to what it returns. */
export async function inSimulation<T>(body: () => T, options: SimulatedTests = {}): Promise<Awaited<T>> {
  const { timeoutMs, emptied } = options
  const seed = 'seed' in options ? options.seed : seedOfTest()
  const results: Awaited<T>[] = []
  await simulate({ seed, nodes: 1, timing: TIMING, virtualMsMax: TEST_MS_MAX }, async (given) => {
    world = given
    kv = newClient({ timeoutMs })
    const { poll } = expect
    Object.assign(expect, { poll: virtualPoll })
    try {
      results.push(await body())
      if (emptied !== undefined) await nothingLeft(emptied)
    } finally {
      Object.assign(expect, { poll })
      // The simulation gives back what they have replaced in it.
      vi.restoreAllMocks()
    }
  })
  const [result] = results
  return result as Awaited<T>
}

/** Tests of a file, each in a simulation of its own. */
export function simulatedTests(options: SimulatedTests = {}) {
  const simulated =
    <Args extends unknown[]>(body: Body<Args>) =>
    async (...args: Args): Promise<void> => {
      await inSimulation(() => body(...args), options)
    }
  const it: It = Object.assign((name: string, body: Body) => test(name, simulated(body)), {
    each: ((cases: readonly unknown[]) => {
      const each = test.each(cases)
      return (name: string, body: Body<unknown[]>) => each(name, simulated(body))
    }) as typeof test.each,
  })
  /** A test that draws another seed each time. A failure shows it: passed here, it repeats the run. */
  const itWithAnySeed = (name: string, body: Body, seed?: number): void =>
    test(name, async () => {
      await inSimulation(body, { ...options, seed })
    })
  return { it, itWithAnySeed }
}

export const { it, itWithAnySeed } = simulatedTests()

export const newClient = (
  { timeoutMs = 30_000 }: { readonly timeoutMs?: number | undefined } = {},
  transport?: Transport,
): Client => new Client({ endpoints: world.endpoints, timeoutMs }, transport)

/** The node of the cluster. */
export const node = (): SimulatedNode => world.cluster.node('n1')

/** The leader dies, and its successor is elected some time later. */
export function loseLeader(): void {
  node().crash()
  setTimeout(() => node().restart(), ELECTION_MS)
}

/** A pause in virtual time. */
export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** The machine was suspended for so long: no timer ran, and `performance.now()` stood still. */
export function suspend(ms: number): void {
  const { uptime } = os
  os.uptime = () => uptime() + ms / 1_000
  // The simulation undoes it.
  syncBuiltinESMExports()
}

/** Counts the timers that are set from now on. Call the result to learn how many are pending. */
export function countTimers(): () => number {
  const pending = new Set<unknown>()
  const { setTimeout, clearTimeout } = globalThis
  const set = (run: () => void, ms: number) => {
    const timer = setTimeout(() => {
      pending.delete(timer)
      run()
    }, ms)
    pending.add(timer)
    return timer
  }
  const clear: typeof clearTimeout = (timer) => {
    pending.delete(timer)
    clearTimeout(timer)
  }
  // The simulation undoes it.
  Object.assign(globalThis, { setTimeout: set, clearTimeout: clear })
  return () => pending.size
}

async function nothingLeft(prefixes: readonly string[]): Promise<void> {
  // A lease whose grant had no response may be left: it expires.
  await expect.poll(async () => (await kv.leases().next()).done).toBe(true)
  for (const prefix of prefixes) expect(await kv.count({ prefix })).toBe(0)
}

/** `expect.poll` with pauses in virtual time: those of Vitest are in real time. */
const virtualPoll = (read: () => unknown) => {
  const check = async (matcher: PropertyKey, args: readonly unknown[]) => {
    const assertion = expect(await read())
    await Reflect.apply(Reflect.get(assertion, matcher), assertion, args)
  }
  const until = async (matcher: PropertyKey, args: readonly unknown[]) => {
    const failAt = performance.now() + POLL_MS_MAX
    for (;;) {
      try {
        return await check(matcher, args)
      } catch (error) {
        if (performance.now() >= failAt)
          throw new Error(`not so within ${POLL_MS_MAX} ms of virtual time: ${error}`, { cause: error })
      }
      await sleep(POLL_PAUSE_MS)
    }
  }
  const get =
    (_: object, matcher: PropertyKey) =>
    (...args: readonly unknown[]) =>
      until(matcher, args)
  return new Proxy({}, { get })
}
