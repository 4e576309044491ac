// The program of the version before.
//
// testdata/quorate-d83eb404.tar.gz is that version as `npm pack` made it, the compiled JavaScript of the command only.
// It is the last commit at which clusters had cluster version 2.

import { execFileSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Workspace } from '../local/kv.ts'

const OLD = join(import.meta.dirname, 'testdata/quorate-d83eb404.tar.gz')

/** It finds the libraries of this version. Returns the path of its command. */
export function unpack(space: Workspace): string {
  execFileSync('tar', ['xzf', OLD, '-C', space.dir])
  symlinkSync(join(import.meta.dirname, '../../node_modules'), join(space.dir, 'node_modules'))
  return join(space.dir, 'bin/kv.js')
}
