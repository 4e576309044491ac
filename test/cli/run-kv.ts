// Runs the shipped command as a shell would.

import { type ChildProcess, spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const KV = join(import.meta.dirname, '../../bin/kv.js')

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly bytes: Buffer
  readonly err: string
}

export interface RunOptions {
  readonly endpoints?: string | undefined
  readonly env?: Record<string, string>
  readonly cwd?: string
  readonly stdin?: string | Buffer
  /** Called once the process runs. */
  readonly started?: (child: ChildProcess) => void
}

/**
 * With this environment the call that starts a command returns only when the file exists. Signals can so arrive while
 * the command runs and its start has not ended.
 */
export function startingUntil(file: string): Record<string, string> {
  const preload = `
    import childProcess from 'node:child_process'
    import { existsSync } from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    const { spawn } = childProcess
    const turn = new Int32Array(new SharedArrayBuffer(4))
    childProcess.spawn = (...args) => {
      const child = spawn(...args)
      while (!existsSync(${JSON.stringify(file)})) Atomics.wait(turn, 0, 0, 5)
      return child
    }
    syncBuiltinESMExports()`
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload)}` }
}

export function spawnKv(args: readonly string[], options: RunOptions = {}) {
  const clean = Object.entries(process.env).filter(([name]) => !/^(KV_|NO_COLOR|FORCE_COLOR)/.test(name))
  const endpoints = options.endpoints === undefined ? {} : { KV_ENDPOINTS: options.endpoints }
  return spawn(process.execPath, [KV, ...args], {
    cwd: options.cwd ?? tmpdir(),
    env: { ...Object.fromEntries(clean), ...endpoints, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
}

export function kv(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = spawnKv(args, options)
  options.started?.(child)
  child.stdin.on('error', () => {})
  child.stdin.end(options.stdin ?? '')
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      const bytes = Buffer.concat(out)
      resolve({ code, bytes, out: bytes.toString(), err: Buffer.concat(err).toString() })
    })
  })
}
