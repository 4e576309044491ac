// Builds the library faults.c with the C compiler of the machine, and controls it through one small file for each node:
// a change of its slots takes effect at the next system call of the node.

import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** Changes the faults of one node. A field that is absent stays as it is; false, 0 or a rate of 1 ends the fault. */
export interface PreloadFaults {
  readonly syncDelayMs?: number
  /** Every fdatasync and fsync fails with EIO. */
  readonly syncFails?: boolean
  /** Every write to a file of the node's data fails with ENOSPC. */
  readonly diskFull?: boolean
  /** Speed of all clocks; 1 is the correct speed. */
  readonly clockRate?: number
  /** All clocks jump forward by this time, once. */
  readonly clockJumpMs?: number
  /** The error of the wall clock alone. */
  readonly wallOffsetMs?: number
}

/** How often faults took effect since the run began. */
export interface PreloadHits {
  readonly syncsDelayed: number
  readonly syncsFailed: number
  readonly writesRefused: number
  readonly wrongClockReads: number
}

const SLOT = {
  syncDelayUs: 0,
  syncErrno: 1,
  writeErrno: 2,
  clockRatePpm: 3,
  clockJumpUs: 4,
  wallOffsetUs: 5,
  syncsDelayed: 8,
  syncsFailed: 9,
  writesRefused: 10,
  clockReads: 11,
} as const
const SLOTS = 16
const SLOT_BYTES = 8

const EIO = 5
const ENOSPC = 28

export class Preload {
  readonly #library: string
  readonly #dir: string
  readonly #files = new Map<string, number>()

  /** Returns the reason in `missing` if the library is not possible here. */
  static build(dir: string): Preload | { readonly missing: string } {
    if (process.platform !== 'linux')
      return { missing: `a library can be preloaded on Linux only, not on ${process.platform}` }
    mkdirSync(dir, { recursive: true })
    const library = join(dir, 'faults.so')
    const source = join(import.meta.dirname, 'faults.c')
    const built = spawnSync('cc', ['-O2', '-shared', '-fPIC', '-o', library, source, '-ldl', '-lpthread'], {
      encoding: 'utf8',
    })
    if (built.error !== undefined) return { missing: `there is no C compiler (cc: ${built.error.message})` }
    if (built.status !== 0)
      return { missing: `cc cannot compile faults.c: ${built.stderr.trim().split('\n')[0]}` }
    const preload = new Preload(library, dir)
    return preload.#isUsable() ? preload : { missing: 'this Node.js does not work with preloaded libraries' }
  }

  private constructor(library: string, dir: string) {
    this.#library = library
    this.#dir = dir
  }

  /**
   * The environment with which the process of a node must be started. `dataDir`: absolute; `diskFull` affects the files
   * below it.
   */
  env(node: string, dataDir: string): NodeJS.ProcessEnv {
    this.#openFile(node)
    return { LD_PRELOAD: this.#library, QUORATE_FAULTS: this.#faultsPath(node), QUORATE_FAULTS_DIR: dataDir }
  }

  set(node: string, faults: PreloadFaults): void {
    const { syncDelayMs, syncFails, diskFull, clockRate, clockJumpMs, wallOffsetMs } = faults
    if (syncDelayMs !== undefined) this.#write(node, SLOT.syncDelayUs, syncDelayMs * 1_000)
    if (syncFails !== undefined) this.#write(node, SLOT.syncErrno, syncFails ? EIO : 0)
    if (diskFull !== undefined) this.#write(node, SLOT.writeErrno, diskFull ? ENOSPC : 0)
    if (clockRate !== undefined) this.#write(node, SLOT.clockRatePpm, clockRate * 1_000_000)
    if (wallOffsetMs !== undefined) this.#write(node, SLOT.wallOffsetUs, wallOffsetMs * 1_000)
    if (clockJumpMs !== undefined)
      this.#write(node, SLOT.clockJumpUs, this.#read(node, SLOT.clockJumpUs) + clockJumpMs * 1_000)
  }

  hits(node: string): PreloadHits {
    return {
      syncsDelayed: this.#read(node, SLOT.syncsDelayed),
      syncsFailed: this.#read(node, SLOT.syncsFailed),
      writesRefused: this.#read(node, SLOT.writesRefused),
      wrongClockReads: this.#read(node, SLOT.clockReads),
    }
  }

  close(): void {
    for (const fd of this.#files.values()) closeSync(fd)
    this.#files.clear()
  }

  /** Whether a process of this Node.js shows the wrong clock that it is given, and ends normally. */
  #isUsable(): boolean {
    this.set('probe', { wallOffsetMs: -1_000_000_000_000 })
    const script = 'process.stdout.write(String(Date.now()))'
    const env = { ...process.env, ...this.env('probe', this.#dir) }
    const { stdout, status } = spawnSync(process.execPath, ['-e', script], {
      env,
      encoding: 'utf8',
      timeout: 10_000,
    })
    return status === 0 && Number(stdout) < Date.now() - 500_000_000_000
  }

  #faultsPath(node: string): string {
    return join(this.#dir, `${node}.slots`)
  }

  #openFile(node: string): number {
    const known = this.#files.get(node)
    if (known !== undefined) return known
    writeFileSync(this.#faultsPath(node), Buffer.alloc(SLOTS * SLOT_BYTES))
    const fd = openSync(this.#faultsPath(node), 'r+')
    this.#files.set(node, fd)
    return fd
  }

  #write(node: string, slot: number, value: number): void {
    const bytes = Buffer.alloc(SLOT_BYTES)
    bytes.writeBigInt64LE(BigInt(Math.round(value)))
    writeSync(this.#openFile(node), bytes, 0, SLOT_BYTES, slot * SLOT_BYTES)
  }

  #read(node: string, slot: number): number {
    const bytes = Buffer.alloc(SLOT_BYTES)
    readSync(this.#openFile(node), bytes, 0, SLOT_BYTES, slot * SLOT_BYTES)
    return Number(bytes.readBigInt64LE())
  }
}
