// Directories of tests, and all their files in memory.

import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * A directory in memory if the system has a file system for that. No test here cuts the power, and hundreds of syncs
 * take long.
 */
export function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'quorate-storage-'))
}

/** Content by name of every file of a directory. */
export type Files = ReadonlyMap<string, Buffer>

export const filesOf = (dir: string): Files =>
  new Map(readdirSync(dir).map((name) => [name, readFileSync(join(dir, name))]))

export const sameFiles = (a: Files, b: Files): boolean =>
  a.size === b.size && [...a].every(([name, content]) => b.get(name)?.equals(content))

/** Writes files into a directory. Others in it stay. */
export function putFiles(dir: string, files: Iterable<readonly [name: string, content: Uint8Array]>): void {
  for (const [name, content] of files) writeFileSync(join(dir, name), content)
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
