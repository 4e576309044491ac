// A process with a clock that only a test advances, and what it is given.

import { AsyncLocalStorage } from 'node:async_hooks'
import { onTestFinished } from 'vitest'
import {
  type Cancellable,
  type ProcessGlobals,
  realImmediate,
  replaceGlobals,
} from '../../../../jepsen-lite/simulation/globals/index.ts'
import { Random } from '../../../../jepsen-lite/workload/random.ts'

interface Timer {
  readonly atMs: number
  readonly run: () => void
  readonly hasRef?: (() => boolean) | undefined
}

const hosts = new AsyncLocalStorage<VirtualHost>()

/** Runs the promises that are ready. */
export const settle = (): Promise<void> => new Promise(realImmediate)

export class VirtualHost implements ProcessGlobals {
  readonly name: string
  readonly random: Random
  /** Delays of the timers that were set. */
  readonly delays: number[] = []
  readonly written: [stream: string, text: string][] = []
  readonly requests: Request[] = []
  readonly errors: unknown[] = []
  readonly refused: string[] = []
  /** How much work has begun. */
  beginnings = 0
  #nowMs = 0
  #timers: Timer[] = []
  #work: { deliver?: () => void }[] = []
  #isDelivering = false

  constructor(seed = 1, name = 'worker') {
    this.name = name
    this.random = new Random(seed)
  }

  /** Runs code as that of this process. */
  run<T>(body: () => T): T {
    return hosts.run(this, body)
  }

  /** Lets this much virtual time pass. What throws is recorded. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    for (;;) {
      await settle()
      const next = this.#timers
        .filter(({ atMs }) => atMs <= endMs)
        .reduce<Timer | undefined>((a, b) => (a === undefined || b.atMs < a.atMs ? b : a), undefined)
      if (next === undefined) break
      this.#remove(next)
      this.#nowMs = next.atMs
      try {
        next.run()
      } catch (error) {
        this.errors.push(error)
      }
    }
    this.#nowMs = endMs
  }

  get timers(): number {
    return this.#timers.length
  }

  /** How many timers would keep a real process alive. */
  get keeping(): number {
    return this.#timers.filter(({ hasRef }) => hasRef?.() === true).length
  }

  get work(): number {
    return this.#work.length
  }

  monotonicMs(): number {
    return this.#nowMs + 0.25
  }

  wallTimeMs(): number {
    return 1_000_000.75 + this.#nowMs
  }

  setTimer(delayMs: number, run: () => void, hasRef?: () => boolean): Cancellable {
    this.delays.push(delayMs)
    return this.#push({ atMs: this.#nowMs + delayMs, run, hasRef })
  }

  soon(run: () => void): Cancellable {
    return this.#push({ atMs: this.#nowMs, run })
  }

  write(stream: string, text: string): void {
    this.written.push([stream, text])
  }

  refuse(call: string): never {
    this.refused.push(call)
    throw new Error(`refused: ${call}`)
  }

  threw(error: unknown): void {
    this.errors.push(error)
  }

  async fetch(request: Request): Promise<Response> {
    this.requests.push(request)
    return new Response(`answer to ${request.method} ${request.url}`)
  }

  beginWork(): (deliver: () => void) => void {
    const work: { deliver?: () => void } = {}
    this.#work.push(work)
    this.beginnings++
    return (deliver) => {
      work.deliver = deliver
      void this.#deliver()
    }
  }

  /** Delivers outcomes in the order in which their work began. Promises run after each. */
  async #deliver(): Promise<void> {
    if (this.#isDelivering) return
    this.#isDelivering = true
    for (let first = this.#work[0]; first?.deliver !== undefined; first = this.#work[0]) {
      this.#work.shift()
      first.deliver()
      await settle()
    }
    this.#isDelivering = false
  }

  #push(timer: Timer): Cancellable {
    this.#timers.push(timer)
    return { cancel: () => this.#remove(timer) }
  }

  #remove(timer: Timer): void {
    this.#timers = this.#timers.filter((other) => other !== timer)
  }
}

/** A process whose code finds its own globals until the test ends. */
export function virtualHost(): VirtualHost {
  onTestFinished(replaceGlobals(() => hosts.getStore()))
  return new VirtualHost()
}

export const currentHost = (): VirtualHost | undefined => hosts.getStore()
