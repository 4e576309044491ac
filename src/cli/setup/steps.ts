// The steps of `kv node setup`, each of which changes nothing where all is as it should be.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, fchmodSync, fchownSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { entryPath, openDirectory } from '../../files/directory-descriptor.ts'
import { writeFileAtomically } from '../../files/durable.ts'
import { Failure, writing } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import { SERVICE_USER } from './machine-paths.ts'
import type { Programs } from './unit.ts'

/** Change that a step makes, or would make. */
export type StepEffect = 'none' | 'new' | 'changed' | 'run'

export interface Step {
  /** Path, or another name of what it makes. */
  readonly subject: string
  readonly effect: StepEffect
  /** Content of the file, if that is no secret. */
  readonly content?: string | undefined
  run(): void | Promise<void>
}

/** Ids of the user; undefined: there is none yet, or the files are for another machine. */
export type ServiceIds = { readonly uid: number; readonly gid: number } | undefined

export function serviceIds(): ServiceIds {
  const requestId = (flag: string): number => {
    const { stdout, status } = spawnSync('id', [flag, SERVICE_USER], { encoding: 'utf8' })
    return status === 0 ? Number(stdout) : Number.NaN
  }
  const [uid, gid] = [requestId('-u'), requestId('-g')]
  return Number.isNaN(uid) || Number.isNaN(gid) ? undefined : { uid, gid }
}

export function userStep(home: string): Step {
  const isThere = serviceIds() !== undefined
  const shell = ['/usr/sbin/nologin', '/sbin/nologin'].find(existsSync) ?? '/bin/false'
  return {
    subject: `user ${SERVICE_USER}`,
    effect: isThere ? 'none' : 'new',
    run() {
      if (isThere) return
      const args = [
        '--system',
        '--user-group',
        '--home-dir',
        home,
        '--no-create-home',
        '--shell',
        shell,
        SERVICE_USER,
      ]
      const { status, stderr, error } = spawnSync('useradd', args, { encoding: 'utf8' })
      if (status !== 0) throw new Failure(EXIT.failed, `useradd failed: ${error?.message ?? stderr.trim()}`)
    },
  }
}

interface FileOwnership {
  readonly path: string
  readonly mode: number
  /** undefined: whoever runs the command. */
  readonly owner: () => ServiceIds
}

export function directoryStep({ path, mode, owner }: FileOwnership): Step {
  const isThere = existsSync(path)
  return {
    subject: path,
    effect: !isThere ? 'new' : isAsWanted({ path, mode, owner }) ? 'none' : 'changed',
    run() {
      inDirectory(path, (directory) => own(directory, { mode, owner }))
    },
  }
}

interface FileContent extends FileOwnership {
  readonly content: string
  readonly isSecret?: boolean
}

export function fileStep({ content, isSecret = false, ...file }: FileContent): Step {
  const before = existsSync(file.path) ? readFileSync(file.path, 'utf8') : undefined
  const isSame = before === content && isAsWanted(file)
  return {
    subject: file.path,
    effect: before === undefined ? 'new' : isSame ? 'none' : 'changed',
    content: isSecret ? undefined : content,
    run() {
      if (isSame) return
      inDirectory(dirname(file.path), (directory) =>
        writeFileAtomically(entryPath(directory, basename(file.path)), content, file.mode, (written) =>
          own(written, file),
        ),
      )
    },
  }
}

function isAsWanted({ path, mode, owner }: FileOwnership): boolean {
  const found = statSync(path)
  const wanted = owner()
  return (found.mode & 0o777) === mode && (wanted === undefined || found.uid === wanted.uid)
}

/** The user of the service can change some of the directories, and the command runs as root. */
function inDirectory(path: string, act: (directory: number) => void): void {
  writing(path, () => {
    const directory = openDirectory(path)
    try {
      act(directory)
    } finally {
      closeSync(directory)
    }
  })
}

function own(file: number, { mode, owner }: Omit<FileOwnership, 'path'>): void {
  const ids = owner()
  fchmodSync(file, mode)
  if (ids !== undefined) fchownSync(file, ids.uid, ids.gid)
}

export const isEmptyDirectory = (path: string): boolean => !existsSync(path) || readdirSync(path).length === 0

/** Founds the cluster: a node that nobody reaches makes the data directory, and ends. */
export function foundingStep(
  { node, quorate }: Programs,
  { name, data, owner }: { readonly name: string; readonly data: string; readonly owner: () => ServiceIds },
): Step {
  const isThere = !isEmptyDirectory(data)
  return {
    subject: `a new cluster in ${data}`,
    effect: isThere ? 'none' : 'new',
    async run() {
      if (isThere) return
      const address = '127.0.0.1:0'
      const flags = ['--name', name, '--data', data, '--listen', address, '--peer-listen', address]
      const child = spawn(
        node,
        [`${quorate}/bin/kv.js`, 'node', 'start', ...flags, '--bootstrap', '--log-format', 'json'],
        {
          ...owner(),
          cwd: dirname(data),
          env: { PATH: process.env.PATH, HOME: dirname(data) },
          stdio: ['ignore', 'ignore', 'pipe'],
        },
      )
      const ended = once(child, 'exit')
      let last = ''
      for await (const line of createInterface(child.stderr)) {
        last = parseMessage(line)
        if (last === 'serving') child.kill('SIGTERM')
      }
      const [code] = await ended
      if (code !== 0) throw new Failure(EXIT.failed, `the cluster cannot be founded: ${last}`)
    },
  }
}

function parseMessage(line: string): string {
  try {
    return String(Object(JSON.parse(line)).msg)
  } catch {
    return line
  }
}

export function commandStep(...command: readonly string[]): Step {
  const [program = '', ...args] = command
  return {
    subject: command.join(' '),
    effect: 'run',
    run() {
      const { status, error } = spawnSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] })
      if (status === 0) return
      const reason = error?.message ?? 'journalctl --unit quorate has the reason'
      throw new Failure(EXIT.failed, `${command.join(' ')} failed: ${reason}`)
    },
  }
}
