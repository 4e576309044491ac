// The load generator for clients in Go: bench/generator.

import { join } from 'node:path'
import { buildGo } from '../../test/etcd/go-programs.ts'
import type { Program } from './run-generator.ts'

/** Its go.mod pins the clients, and servers that are built from Go modules. */
export const GO_MODULE = join(import.meta.dirname, '../generator')

/** Rejects with what to install when Go is missing. */
export async function buildGoGenerator(directory: string): Promise<Program> {
  const command = join(directory, 'generator')
  await buildGo(command, ['.'], GO_MODULE)
  return { command, args: [] }
}
