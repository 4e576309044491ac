// Modules that the client library loads when they are needed, of which a run must load none.

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../../..')
const simulation = join(root, 'jepsen-lite/simulation')
const client = join(root, 'src/client')

/** Paths of the modules that a file imports when it is run. */
const imported = (path: string): readonly string[] =>
  [...readFileSync(path, 'utf8').matchAll(/\bimport\('(\.[^']+)'\)/g)].map(([, name]) =>
    relative(root, join(dirname(path), String(name))),
  )

test('a run has loaded everything that its clients load', () => {
  const files = readdirSync(client, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )
  const needed = new Set(files.flatMap((name) => imported(join(client, name))))
  // Clients of a simulation have no sockets.
  needed.delete('src/client/transport/mux-connection.ts')
  expect(needed.size).toBeGreaterThan(20)
  expect(imported(join(simulation, 'client-modules.ts')).toSorted()).toEqual([...needed].toSorted())
})
