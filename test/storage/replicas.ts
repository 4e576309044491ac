// The replicas that the conformance suite and the property tests run on.

import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SimDisk } from '../../jepsen-lite/sim/disk.ts'
import { KeyIndex, keyIndexLimits, type StoreLimits } from '../../src/server/node/key-index/key-index.ts'
import type { Engine } from '../../src/storage/engine.ts'
import {
  formatStorage,
  type InitialState,
  type OpenOptions,
  openStorage,
  type Storage,
} from '../../src/storage/index.ts'
import { storeLimits } from '../../src/storage/store.ts'
import type { Replica } from './conformance.ts'
import { type Faults, FaultyEngine } from './faulty.ts'
import { identity, initial } from './samples.ts'

/**
 * A directory in memory if the system has a file system for that. No test here cuts the power, and hundreds of syncs
 * take long.
 */
export function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'quorate-storage-'))
}

/** Files of the directory that this process has open; works on Linux only. */
export function openFilesIn(dir: string): string[] {
  const descriptors = '/proc/self/fd'
  if (!existsSync(descriptors)) return []
  const paths = readdirSync(descriptors).map((fd) => {
    try {
      return readlinkSync(join(descriptors, fd))
    } catch {
      // The file was closed between the two calls.
      return ''
    }
  })
  return paths.filter((path) => path.startsWith(dir))
}

export async function levelReplica(options: OpenOptions = {}): Promise<Replica & { readonly dir: string }> {
  const dir = await temporaryDirectory()
  await formatStorage(dir, identity, initial)
  return {
    dir,
    open: () => openStorage(dir, { index: KeyIndex.of(keyIndexLimits), ...options }),
    dispose: () => rm(dir, { recursive: true, force: true }),
  }
}

/** The disk of the simulator. In a crash it forgets what was not durable. */
export function memoryDisk(state: InitialState = initial): SimDisk {
  const disk = new SimDisk()
  disk.format(identity, state)
  return disk
}

/** Small limits, so that rows that do not fit are as common as those that do. */
const LIMITS: StoreLimits = { ...storeLimits, ...keyIndexLimits, rowHeads: 8, rowFilterBytes: 32 }

/** Called when a write becomes durable, or a read can be answered. */
export type Later = (what: 'write' | 'read', complete: () => void) => void

const soon: Later = (_what, complete) => void setImmediate(complete)

export function openDisk(
  disk: SimDisk,
  later = soon,
  faults: Faults = {},
  limits: Partial<StoreLimits> = {},
  under: (engine: Engine) => Engine = (engine) => new FaultyEngine(engine, faults),
): Promise<Storage> {
  const events = { later, writing() {}, durable() {}, failed() {} }
  return new Promise((resolve, reject) => {
    disk.open(
      { ...LIMITS, ...limits },
      events,
      (error, storage) => (storage === undefined ? reject(error) : resolve(storage)),
      under,
    )
  })
}

export async function memoryReplica(): Promise<Replica> {
  const disk = memoryDisk()
  return {
    open: () => openDisk(disk),
    dispose: async () => {},
  }
}
