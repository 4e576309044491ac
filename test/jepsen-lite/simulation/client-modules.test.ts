// Modules that the client library loads when they are needed: a run must load none. And functions of Node that code of
// a run must not import by their names.

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

/** A function of Node that a run replaces: an import of its name is a copy in a context of node:vm. */
const COPY =
  /^import [^\n]*\b(?:random[A-Z]\w*|set(?:Timeout|Interval|Immediate)|hostname)\b[^\n]* from 'node:(?:crypto|os|timers(?:\/promises)?)'/m

test('code that runs for a simulated process keeps no function that a run replaces', () => {
  const kept = ['client', 'recipes', 'operations', 'server/api']
    .flatMap((folder) =>
      readdirSync(join(root, 'src', folder), { recursive: true, encoding: 'utf8' }).map((name) =>
        join(root, 'src', folder, name),
      ),
    )
    .concat(join(root, 'src/server/auth/passwords.ts'))
    .filter((path) => path.endsWith('.ts') && COPY.test(readFileSync(path, 'utf8')))
  expect(kept.map((path) => relative(root, path))).toEqual([])
})
