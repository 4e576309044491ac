// The clients of recipes: processes (recipe-process.ts) that are stopped for longer than what they hold lasts, or
// killed, while they hold it. What they tell is recorded when it comes.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { pause } from '../../src/client/timer.ts'
import { siblingModule } from '../../src/local/child-module.ts'
import { PausedProcessGuard } from '../../src/local/cluster/paused-process-guard.ts'
import { drain } from '../recipes/clients.ts'
import type { Recipe } from '../sim/index.ts'
import type { Recorder } from '../workload/history.ts'
import type { Random } from '../workload/random.ts'
import type { FromRecipes, RecipeConnection, ToRecipes } from './recipe-messages.ts'
import { WIRES } from './wires/index.ts'

const PROCESSES_MAX = 4
/** How long a process is stopped: mostly for longer than its leases last. */
const STOPPED_MS = { short: [300, 2_000], long: [2_500, 6_000], longPart: 0.6 } as const
/** Pause before the next process is stopped or killed. */
const LEFT_ALONE_MS = { min: 1_000, max: 4_000 }
const KILLED_PART = 0.3
/** Time for a process to finish its operations after the order to end. */
const END_MS_MAX = 15_000
/** How long it may take to empty the queue when all clients are gone. */
const DRAIN_MS_MAX = 60_000
const PROGRAM = siblingModule(import.meta, 'recipe-process')

interface RecipesOptions {
  readonly recipe: Recipe
  readonly clients: number
  /** Operations a second, of all clients together. */
  readonly rate: number
  readonly seed: number
  readonly random: Random
  readonly recorder: Recorder
  readonly connection: () => RecipeConnection
  /** Signal that ends the clients. */
  readonly signal: AbortSignal
  /** Called with something that a recipe should never do. */
  readonly report: (message: string) => void
}

interface RecipeProcess {
  readonly child: ChildProcess
  /** Names of its clients begin with it. */
  readonly name: string
  /** Ids in the history, by the numbers of the process. */
  readonly open: Map<number, number>
  readonly ended: Promise<void>
  isKilled: boolean
}

export class RecipeProcesses {
  readonly done: Promise<void>
  /** Every process has begun to work. */
  readonly begun: Promise<unknown>
  readonly #options: RecipesOptions
  readonly #guard = new PausedProcessGuard()
  readonly #running = new Set<RecipeProcess>()
  readonly #perProcess: number
  #started = 0
  #mayDisturb = false

  constructor(options: RecipesOptions) {
    this.#options = options
    const processes = Math.min(PROCESSES_MAX, options.clients)
    this.#perProcess = Math.ceil(options.clients / processes)
    const all = Array.from({ length: processes }, () => this.#startProcess())
    this.begun = Promise.all(all.map(({ child, ended }) => Promise.race([once(child, 'message'), ended])))
    this.done = this.#disturbUntilAborted()
  }

  /** Begins to stop and kill processes. */
  disturb(): void {
    this.#mayDisturb = true
  }

  #startProcess(): RecipeProcess {
    const { recipe, recorder, report, rate, seed, connection } = this.#options
    this.#started += 1
    const name = `p${this.#started}`
    const child = fork(PROGRAM, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const open = new Map<number, number>()
    const running: RecipeProcess = {
      child,
      name,
      open,
      isKilled: false,
      ended: new Promise((resolve) => {
        // Its earlier messages are read first.
        const disconnected = once(child, 'disconnect')
        child.on('exit', async (code, signal) => {
          await disconnected
          this.#running.delete(running)
          this.#updateGuard()
          for (const id of open.values()) recorder.unknown(id, 'its process has ended')
          // Ctrl-C reaches one that has not begun as well.
          const isOfUser = signal === 'SIGINT' || signal === 'SIGHUP' || signal === 'SIGTERM'
          if (!running.isKilled && code !== 0 && !isOfUser)
            report(`${name}, a process of clients, ended with ${signal ?? `exit code ${code}`}`)
          resolve()
        })
      }),
    }
    this.#running.add(running)
    this.#updateGuard()
    child.on('message', (message: FromRecipes) => this.#receive(running, message))
    child.on('error', () => {})
    const order = {
      recipe,
      connection: connection(),
      clients: this.#perProcess,
      seed: `${seed} ${name}`,
      rate: rate / (PROCESSES_MAX * this.#perProcess),
    }
    send(child, { kind: 'begin', order })
    return running
  }

  #receive({ name, open }: RecipeProcess, message: FromRecipes): void {
    const { recorder, report } = this.#options
    if (message.kind === 'wrong') report(`${name}, a process of clients, failed: ${message.message}`)
    else if (message.kind === 'invoke')
      open.set(message.ref, recorder.invoke(`${name}.${message.client}`, 'any', message.op))
    else {
      const { ref, end } = message
      const id = open.get(ref)
      open.delete(ref)
      if (id !== undefined) recorder.end(id, end)
    }
  }

  /** Starts a guard: if this process dies, processes that are stopped are continued, and end. */
  #updateGuard(): void {
    this.#guard.watch([...this.#running].flatMap(({ child }) => child.pid ?? []))
  }

  async #disturbUntilAborted(): Promise<void> {
    const { random, recorder, signal } = this.#options
    while (!signal.aborted) {
      await pause(random.between(LEFT_ALONE_MS.min, LEFT_ALONE_MS.max), signal)
      const running = [...this.#running]
      if (!this.#mayDisturb || running.length === 0 || signal.aborted) continue
      const victim = random.pick(running)
      const { child, name } = victim
      if (random.chance(KILLED_PART)) {
        recorder.note('clients killed', { clients: name })
        victim.isKilled = true
        child.kill('SIGKILL')
        await victim.ended
        this.#startProcess()
        continue
      }
      const [least, most] = random.chance(STOPPED_MS.longPart) ? STOPPED_MS.long : STOPPED_MS.short
      const ms = Math.round(random.between(least, most))
      recorder.note('clients stopped', { clients: name, ms })
      child.kill('SIGSTOP')
      await pause(ms, signal)
      child.kill('SIGCONT')
      recorder.note('clients continued', { clients: name })
    }
    await this.#stopAll()
  }

  async #stopAll(): Promise<void> {
    const all = [...this.#running]
    for (const { child } of all) send(child, { kind: 'stop' })
    const late = setTimeout(() => {
      for (const one of this.#running) {
        this.#options.report(`${one.name}, a process of clients, did not end within ${END_MS_MAX} ms`)
        one.isKilled = true
        one.child.kill('SIGKILL')
      }
    }, END_MS_MAX)
    await Promise.all(all.map(({ ended }) => ended))
    clearTimeout(late)
    this.#guard.close()
  }
}

function send(child: ChildProcess, message: ToRecipes): void {
  if (child.connected) child.send(message, () => {})
}

/** Empties the queue when no other client is left. Returns why it could not. */
export async function drainQueue(
  { wire, ...connection }: RecipeConnection,
  recorder: Recorder,
  signal: AbortSignal,
): Promise<string | undefined> {
  await using kv = WIRES[wire].createLibraryClient(connection)
  const deadline = performance.now() + DRAIN_MS_MAX
  const hasTime = (): boolean => performance.now() < deadline && !signal.aborted
  const why = await drain(kv, recorder, hasTime, (ms) => sleep(ms))
  if (why === undefined || signal.aborted) return undefined
  return `the queue was not empty after ${DRAIN_MS_MAX} ms without other clients: ${why}`
}
