// Working copies of the commits of older versions, and nodes of any of them.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { onTestFinished } from 'vitest'
import { isObject } from '../../src/operations/forms/decode.ts'

export const ROOT = join(import.meta.dirname, '../..')

const git = (...words: readonly string[]): Buffer =>
  execFileSync('git', ['-C', ROOT, ...words], { maxBuffer: 2 ** 30, stdio: ['ignore', 'pipe', 'pipe'] })

/** A working copy of the commit in `dir`, with its packages. Throws if this clone does not have the commit. */
export function checkOut(commit: string, dir: string): string {
  try {
    git('cat-file', '-e', `${commit}^{commit}`)
  } catch {
    throw new Error(
      `this clone does not have the commit ${commit} of an older version; get it with: ` +
        `git fetch origin ${commit}, or in a shallow clone: git fetch --unshallow`,
    )
  }
  const root = join(dir, 'older')
  mkdirSync(root)
  const archive = join(dir, 'older.tar')
  writeFileSync(archive, git('archive', commit))
  execFileSync('tar', ['-x', '-f', archive, '-C', root])
  const lock = (at: string): string => readFileSync(join(at, 'package-lock.json'), 'utf8')
  if (lock(root) === lock(ROOT)) symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'))
  else
    execFileSync('npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund'], { cwd: root, stdio: 'pipe' })
  return root
}

const NODE = join(ROOT, 'node_modules/.bin/node')

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function run(
  args: readonly string[],
  cwd: string,
): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const child = spawn(NODE, args, {
    cwd,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1' },
  })
  const output = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream]?.on('data', (data: Buffer) => {
      output[stream] += data.toString()
    })
  const ended = new Promise<Ended>((done) => child.once('close', (code) => done({ code, ...output })))
  return { child, ended }
}

/** Runs the command of a working copy. */
export async function command(root: string, cwd: string, ...args: readonly string[]): Promise<Ended> {
  const { child, ended } = run([join(root, 'bin/kv.js'), ...args], cwd)
  child.stdin?.end()
  return ended
}

export class NodeProcess {
  readonly name: string
  readonly url: string
  readonly #dir: string
  readonly #flags: readonly string[]
  #running: ReturnType<typeof run> | undefined

  constructor(dir: string, number: number, [port, peerPort]: readonly [number, number]) {
    this.name = `n${number}`
    this.url = `http://127.0.0.1:${port}`
    this.#dir = dir
    this.#flags = [
      ...['--name', this.name, '--data', this.name, '--log-level', 'warn', '--log-format', 'json'],
      ...['--listen', `127.0.0.1:${port}`, '--peer-listen', `127.0.0.1:${peerPort}`],
    ]
    onTestFinished(() => void this.#running?.child.kill('SIGKILL'))
  }

  /** Starts the node with a working copy. Resolves with its end, if it ends before it is ready. */
  async start(root: string, ...founding: readonly string[]): Promise<Ended | undefined> {
    this.#running = run([join(root, 'bin/kv.js'), 'node', 'start', ...this.#flags, ...founding], this.#dir)
    let end: Ended | undefined
    this.#running.ended.then((ended) => {
      end = ended
    })
    for (;;) {
      const ready = await fetch(`${this.url}/readyz`).catch(() => undefined)
      await ready?.text().catch(() => '')
      if (ready?.status === 200 || end !== undefined) return end
      await new Promise((done) => setTimeout(done, 50))
    }
  }

  async stop(): Promise<Ended | undefined> {
    this.#running?.child.kill('SIGTERM')
    const ended = await this.#running?.ended
    this.#running = undefined
    return ended
  }

  async status(): Promise<Readonly<Record<string, unknown>>> {
    const status: unknown = await (await fetch(`${this.url}/v1/status`)).json()
    if (!isObject(status)) throw new Error(`the status of ${this.name} is no object`)
    return status
  }
}

/** A client that writes until it is stopped. */
export class Writer {
  /** The newest acknowledged value of each key. */
  readonly acknowledged = new Map<string, string>()
  readonly failed: string[] = []
  readonly name: string
  writes = 0
  readonly #running: ReturnType<typeof run>

  constructor(root: string, wire: 'http' | 'mux' | 'grpc', name: string, urls: readonly string[]) {
    this.name = name
    const child = join(import.meta.dirname, 'writer.child.ts')
    this.#running = run([child, root, wire, urls.join(','), name], ROOT)
    const { stdout } = this.#running.child
    if (stdout === null) throw new Error('the writer has no output')
    createInterface({ input: stdout }).on('line', (line) => {
      const { key, value, failed } = JSON.parse(line)
      if (failed !== undefined) this.failed.push(failed)
      else {
        this.writes++
        this.acknowledged.set(key, value)
      }
    })
    onTestFinished(() => void this.#running.child.kill('SIGKILL'))
  }

  async stop(): Promise<void> {
    this.#running.child.stdin?.end()
    const { code, stderr } = await this.#running.ended
    if (code !== 0) this.failed.push(`it ended with ${code}: ${stderr}`)
  }
}
