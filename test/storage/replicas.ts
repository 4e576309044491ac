// The replicas that the conformance suite and the property tests run on.

import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Faults,
  FaultyEngine,
  formatStorage,
  MemoryDisk,
  type OpenOptions,
  openStorage,
  type Schedule,
  type Storage,
} from '../../src/storage/index.ts'
import type { Replica } from './conformance.ts'
import { identity, initial } from './samples.ts'

/** In memory where the system has such a place: nothing here cuts the power, and hundreds of syncs take their time. */
export function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'quorate-storage-'))
}

export async function levelReplica(options: OpenOptions = {}): Promise<Replica & { readonly dir: string }> {
  const dir = await temporaryDirectory()
  await formatStorage(dir, identity, initial)
  return {
    dir,
    open: () => openStorage(dir, options),
    dispose: () => rm(dir, { recursive: true, force: true }),
  }
}

export function openDisk(disk: MemoryDisk, schedule?: Schedule, faults?: Faults): Promise<Storage> {
  return new Promise((resolve, reject) => {
    disk.open(
      (error, storage) => (storage === undefined ? reject(error) : resolve(storage)),
      schedule,
      faults === undefined ? undefined : (engine) => new FaultyEngine(engine, faults),
    )
  })
}

export async function memoryReplica(): Promise<Replica> {
  const disk = new MemoryDisk()
  disk.format(identity, initial)
  return {
    open: () => openDisk(disk),
    dispose: async () => {},
  }
}
