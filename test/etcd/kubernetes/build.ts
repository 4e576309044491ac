// Programs of Kubernetes, built from their unmodified sources, which Go downloads.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cachedPrograms } from '../go-programs.ts'
import { cacheDirectory, requireGo, scratchDirectory, succeed } from '../suites.ts'
import { KUBERNETES_1_37 } from './suite.ts'

const PACKAGE = 'k8s.io/apiextensions-apiserver'

/** Returns the path of the API server of custom resources. The first call compiles for some minutes. */
export async function buildApiServer(): Promise<string> {
  const { version } = KUBERNETES_1_37
  const [directory, name] = [`kubernetes-${version}`, 'apiextensions-apiserver']
  const program = join(cacheDirectory(directory), name)
  if (existsSync(program)) return program
  requireGo(26)
  const module = join(scratchDirectory('api-server'), 'module')
  mkdirSync(module)
  const requirements = `module quorate.test/kubernetes\n\ngo 1.26.0\n\nrequire ${PACKAGE} ${version}\n`
  writeFileSync(join(module, 'go.mod'), requirements)
  // Completes go.mod and go.sum.
  await succeed('go', ['get', PACKAGE], { cwd: module })
  await cachedPrograms(directory, { [name]: PACKAGE }, module)
  return program
}
