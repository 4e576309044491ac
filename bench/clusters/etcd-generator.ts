// The load generator for etcd is a Go program on etcd's own client. It is built when Go and Debian's source packages
// are there; otherwise the load goes through etcd's JSON gateway.

import { execFile } from 'node:child_process'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Program } from '../load/run-generator.ts'

/** Where Debian's golang-etcd-server-dev and the packages that it needs put their sources. */
const GOPATH = '/usr/share/gocode'
const SOURCES = ['main.go', 'watch.go'].map((name) => join(import.meta.dirname, '../etcd', name))

/** undefined when it cannot be built here. */
export async function buildEtcdGenerator(directory: string): Promise<Program | undefined> {
  const command = join(directory, 'etcd-load')
  const env = { ...process.env, GO111MODULE: 'off', GOPATH }
  try {
    await access(join(GOPATH, 'src/go.etcd.io/etcd/clientv3'))
    await promisify(execFile)('go', ['version'])
  } catch {
    return undefined
  }
  await promisify(execFile)('go', ['build', '-o', command, ...SOURCES], { env })
  return { command, args: [] }
}
