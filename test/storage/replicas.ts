// The replicas that the conformance suite and the property tests run on.

import { rm } from 'node:fs/promises'
import { SimDisk } from '../../jepsen-lite/sim/world/disk.ts'
import { KeyIndex, keyIndexLimits, type StoreLimits } from '../../src/server/node/key-index/key-index.ts'
import { formatStorage, type OpenOptions, openStorage } from '../../src/storage/directory.ts'
import type { Engine } from '../../src/storage/engine.ts'
import type { InitialState, Storage } from '../../src/storage/index.ts'
import { storeLimits } from '../../src/storage/store.ts'
import type { Replica } from './conformance.ts'
import { type Faults, FaultyEngine } from './faulty.ts'
import { type Files, filesOf, putFiles, temporaryDirectory } from './files.ts'
import { identity, initial } from './samples.ts'

/** The files of a replica that was just formatted. Copies of them take a third of the time of a formatting. */
let formatted: Promise<Files> | undefined

async function format(): Promise<Files> {
  const dir = await temporaryDirectory()
  await formatStorage(dir, identity, initial)
  const files = filesOf(dir)
  await rm(dir, { recursive: true, force: true })
  return files
}

export async function levelReplica(options: OpenOptions = {}): Promise<Replica & { readonly dir: string }> {
  formatted ??= format()
  const dir = await temporaryDirectory()
  putFiles(dir, await formatted)
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
  readsFirst = true,
): Promise<Storage> {
  const events = { later, writing() {}, durable() {}, failed() {} }
  return new Promise((resolve, reject) => {
    disk.open(
      { ...LIMITS, ...limits },
      events,
      (error, storage) => (storage === undefined ? reject(error) : resolve(storage)),
      under,
      readsFirst,
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
