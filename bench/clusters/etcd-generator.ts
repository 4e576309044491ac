// The load generator for etcd is a Go program on etcd's own client, of the version that the tests pin. It is built when
// Go is there; otherwise the load goes through etcd's JSON gateway.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { buildWithEtcdClient } from '../../test/etcd/etcd-programs.ts'
import type { Program } from '../load/run-generator.ts'

const SOURCES = ['main.go', 'watch.go'].map((name) => join(import.meta.dirname, '../etcd', name))

/** undefined when it cannot be built here. */
export async function buildEtcdGenerator(directory: string): Promise<Program | undefined> {
  try {
    await promisify(execFile)('go', ['version'])
  } catch {
    return undefined
  }
  const command = join(directory, 'etcd-load')
  await buildWithEtcdClient(command, SOURCES)
  return { command, args: [] }
}
