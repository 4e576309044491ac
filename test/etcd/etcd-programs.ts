// The programs of etcd that tests and benchmarks compare with: those of 3.6, which Go builds once from the pinned
// modules of programs/go.mod, Debian's 3.4, or those in a directory.

import { execFile } from 'node:child_process'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { buildGo, cachedPrograms, pinnedVersion } from './go-programs.ts'

const run = promisify(execFile)
const MODULE = join(import.meta.dirname, 'programs')
/** Packages of the pinned modules, by the name of the program. */
const PACKAGES = { etcd: 'go.etcd.io/etcd/server/v3', etcdctl: 'go.etcd.io/etcd/etcdctl/v3' } as const
/** Their client has the same version. */
const CLIENT = 'go.etcd.io/etcd/client/v3'
const DEBIAN = '/usr/bin'

/** The release whose rules of comparison hold. */
export type EtcdRelease = '3.4' | '3.6'

export interface EtcdPrograms {
  readonly release: EtcdRelease
  /** As `etcd --version` states it. */
  readonly version: string
  /** Paths. */
  readonly etcd: string
  readonly etcdctl: string
}

/**
 * `which`: `3.6`, `3.4` for Debian's, or a directory with both programs; default: the variable `QUORATE_ETCD`, or 3.6.
 * Rejects with what to install when they are missing.
 */
export async function etcdPrograms(which = process.env.QUORATE_ETCD ?? '3.6'): Promise<EtcdPrograms> {
  if (which === '3.6') return await built()
  if (which === '3.4') {
    const found = await programsIn(DEBIAN, 'Debian has it: apt-get install etcd-server etcd-client')
    if (found.release === '3.4') return found
    throw new Error(`${DEBIAN}/etcd is ${found.version}, not 3.4: QUORATE_ETCD takes its directory`)
  }
  return await programsIn(which, 'QUORATE_ETCD takes 3.6, 3.4, or a directory with both programs')
}

async function programsIn(directory: string, advice: string): Promise<EtcdPrograms> {
  const [etcd, etcdctl] = [join(directory, 'etcd'), join(directory, 'etcdctl')]
  for (const program of [etcd, etcdctl])
    await access(program).catch(() => {
      throw new Error(`${program} is missing. ${advice}`)
    })
  const { stdout } = await run(etcd, ['--version'])
  const [, version = stdout.trim(), release = ''] = /^etcd Version: ((\d+\.\d+)\.\S+)$/m.exec(stdout) ?? []
  if (release === '3.4' || release === '3.6') return { release, version, etcd, etcdctl }
  throw new Error(`${etcd} is etcd ${version}: the comparison knows 3.4 and 3.6`)
}

/** The pinned programs, built at their first use. */
async function built(): Promise<EtcdPrograms> {
  const version = await pinnedVersion(MODULE, [...Object.values(PACKAGES), CLIENT])
  const directory = await cachedPrograms(`etcd-${version}`, PACKAGES, MODULE).catch((cause: Error) => {
    throw new Error(`${cause.message} ${ADVICE}`, { cause })
  })
  const programs = await programsIn(directory, 'Run it again')
  if (programs.version === version) return programs
  throw new Error(`${programs.etcd} is ${programs.version}, not ${version}: remove ${directory}`)
}

const ADVICE =
  'For the servers alone, QUORATE_ETCD=DIRECTORY names their programs, and QUORATE_ETCD=3.4 takes those of Debian ' +
  '(apt-get install etcd-server etcd-client).'

/** Builds Go files of one directory, which import etcd's client, into a program. */
export const buildWithEtcdClient = (output: string, sources: readonly string[]): Promise<void> =>
  buildGo(output, sources, MODULE)
