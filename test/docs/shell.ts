// Runs commands of the pages in order in one bash, with a directory of its own. `quorate`, `npx` and `node` are on the
// path. Free ports replace those of the pages.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { root } from './blocks.ts'

/** Limit on the run of one shell, which only a command that hangs exceeds. */
const LIMIT_MS = 240_000

/** Limit on the time until a command has printed the expected text. */
const LIMIT_S = 60

/** Preparation and end of a command. */
export interface Handling {
  /** Preparation that a reader has made before; no part of the page. */
  readonly before?: string
  /** The command does not end by itself. When it has printed this extended regular expression, it is interrupted. */
  readonly until?: string
  /** Repeated until then. */
  readonly act?: string
  /** The command runs until the end of the shell. */
  readonly stays?: boolean
}

export interface Step {
  readonly command: string | undefined
  readonly handling: Handling
}

export interface Done {
  readonly out: string
  /** Undefined: the shell ended earlier, or the command ended before it printed the expected text. */
  readonly code: number | undefined
}

const NOTHING: Done = { out: '', code: undefined }

/** Each job has its own process group. At the end, running jobs are interrupted, so none is left. */
const headOf = (started: string): string =>
  `set -m\ntrap 'for job in $jobs; do kill -INT -- -$job; wait $job; done; rm -f ${started}' EXIT\n`

export class Shell {
  readonly #root = mkdtempSync(join(tmpdir(), 'quorate-docs-'))
  readonly #work = join(this.#root, 'work')
  readonly #bin = join(this.#root, 'bin')
  /** The jobs that were started, one a line, until the shell has ended as it should. */
  readonly #started = join(this.#root, 'jobs')
  readonly #env: NodeJS.ProcessEnv
  readonly #port: number

  /** `port` is the first of ten that are free: for 7301 to 7305, and 7401 to 7405. */
  constructor(port: number, env: Readonly<Record<string, string>> = {}) {
    this.#port = port
    mkdirSync(this.#work)
    mkdirSync(this.#bin)
    symlinkSync(process.execPath, join(this.#bin, 'node'))
    for (const [name, file] of [
      ['quorate', 'kv.js'],
      ['kv', 'kv.js'],
      ['jepsen-lite', 'jepsen-lite.js'],
    ] as const)
      symlinkSync(join(root, 'bin', file), join(this.#bin, name))
    writeFileSync(join(this.#bin, 'npx'), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 })
    // Without messages of its own; an answer that is an error is an exit code.
    writeFileSync(join(this.#bin, '.curlrc'), 'silent\nfail-with-body\n')
    const inherited = Object.entries(process.env).filter(
      ([name]) => !/^(KV_|NO_COLOR|FORCE_COLOR)/.test(name),
    )
    this.#env = {
      ...Object.fromEntries(inherited),
      PATH: `${this.#bin}:${process.env.PATH}`,
      CURL_HOME: this.#bin,
      ...env,
    }
  }

  /** Returns the output of each command; that of a step without a command is the output of the previous step. */
  async run(steps: readonly Step[]): Promise<readonly Done[]> {
    const script = join(this.#root, 'script')
    writeFileSync(script, headOf(this.#started) + steps.map((step, at) => this.#scriptOf(step, at)).join(''))
    const child = spawn('bash', [script], {
      cwd: this.#work,
      env: this.#env,
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: LIMIT_MS,
      killSignal: 'SIGKILL',
    })
    const said = await text(child.stderr)
    const done: Done[] = []
    for (const [at, { command }] of steps.entries())
      done.push(command === undefined ? (done.at(-1) ?? NOTHING) : this.#done(at, said))
    return done
  }

  #done(at: number, said: string): Done {
    const [out, code] = [this.#file('out', at), this.#file('code', at)]
    const [before, printed] = [this.#file('before', at), out].map((file) =>
      existsSync(file) ? this.#there(readFileSync(file, 'utf8')) : '',
    )
    if (!existsSync(code)) return { out: `${before}${printed}${said}`, code: undefined }
    return { out: printed ?? '', code: Number(readFileSync(code, 'utf8')) }
  }

  #scriptOf({ command, handling }: Step, at: number): string {
    const { before = '', until, act = 'sleep 0.05', stays = false } = handling
    if (command === undefined) return ''
    const [out, code] = [this.#file('out', at), this.#file('code', at)]
    const group = (text: string) => `{\n${this.#here(text)}\n}`
    const prepared = before === '' ? '' : `${group(before)} >${this.#file('before', at)} 2>&1 || exit\n`
    const run = `${group(command)} >${out} 2>&1`
    if (until === undefined) return `${prepared}${run}\necho $? >${code}\n`
    const isThere = `grep -qE '${until}' ${out}`
    return `${prepared}${run} &
job=$!; echo $job >>${this.#started}
late=$((SECONDS + ${LIMIT_S}))
until ${isThere} || ! kill -0 $job || ((SECONDS > late)); do ${group(act)} >/dev/null; done 2>/dev/null
${isThere} && echo 0 >${code}
${stays ? 'jobs="$jobs $job"' : 'kill -INT -- -$job; wait $job'}\n`
  }

  /** Ends what runs in the directory, and removes it. */
  close(): void {
    const left = existsSync(this.#started) ? readFileSync(this.#started, 'utf8').match(/\d+/g) : null
    for (const job of left ?? []) {
      try {
        process.kill(-Number(job), 'SIGKILL')
      } catch {
        // It has ended.
      }
    }
    spawnSync(join(this.#bin, 'quorate'), ['cluster', 'destroy', '--yes'], {
      cwd: this.#work,
      env: this.#env,
    })
    rmSync(this.#root, { recursive: true })
  }

  #file(kind: string, number: number): string {
    return join(this.#root, `${kind}-${number}`)
  }

  /** The text with the ports and directories of this shell. */
  #here(text: string): string {
    return text
      .replaceAll(/\b7([34])0([1-5])\b/g, (_, kind, n) =>
        String(this.#port + (kind === '4' ? 5 : 0) + Number(n) - 1),
      )
      .replaceAll('cluster start', `cluster start --port ${this.#port}`)
      .replaceAll(/\/(var\/lib\/quorate|tmp)\//g, './')
  }

  /** The text with the ports of the page. Another number, such as a time to live, may be equal to a port. */
  #there(text: string): string {
    return text.replaceAll(/(?<=127\.0\.0\.1:|\bport )\d{5}\b/g, (port) => {
      const n = Number(port) - this.#port
      return n >= 0 && n < 10 ? String(n < 5 ? 7301 + n : 7396 + n) : port
    })
  }
}

const commandsByScript = new Map<string, readonly string[]>()

/** The commands of a script, each of one or more lines. */
export function commandsOf(script: string): readonly string[] {
  const known = commandsByScript.get(script)
  if (known !== undefined) return known
  const commands: string[] = []
  let open = ''
  for (const line of script.split('\n').filter((line) => line.trim() !== '')) {
    open += open === '' ? line : `\n${line}`
    if (!line.endsWith('\\') && isWhole(open)) {
      commands.push(open)
      open = ''
    }
  }
  if (open !== '') throw new Error(`no whole command: ${open}`)
  commandsByScript.set(script, commands)
  return commands
}

/** Whether the command is complete. Bash also warns of a here-document without its end. Plain words need no check. */
function isWhole(command: string): boolean {
  if (/^[\w ./:=,-]*(#.*)?$/.test(command)) return true
  const { status, stderr } = spawnSync('bash', ['-n', '-c', command], { encoding: 'utf8' })
  return status === 0 && stderr === ''
}
