// The programs of a control plane of Kubernetes, built from their unmodified sources, which Go downloads.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cachedPrograms } from '../go-programs.ts'
import { cacheDirectory, requireGo, scratchDirectory, succeed } from '../suites.ts'

const MODULE = 'k8s.io/kubernetes'
const VERSION = 'v1.37.2'
/** The version of the modules that are developed in that one. */
const STAGING_VERSION = VERSION.replace('v1.', 'v0.')
const PROGRAMS = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler'] as const

export type Program = (typeof PROGRAMS)[number]

/** Returns the path of each program. The first call compiles for some ten minutes. */
export async function buildControlPlane(): Promise<Readonly<Record<Program, string>>> {
  const name = `kubernetes-${VERSION}`
  const at = (program: string): string => join(cacheDirectory(name), program)
  if (!PROGRAMS.every((program) => existsSync(at(program)))) {
    requireGo(26)
    const module = join(scratchDirectory('control-plane'), 'module')
    mkdirSync(module)
    const options = { cwd: module }
    writeFileSync(join(module, 'go.mod'), 'module quorate.test/kubernetes\n\ngo 1.26.0\n')
    const downloaded = await succeed('go', ['mod', 'download', '-json', `${MODULE}@${VERSION}`], options)
    const requirements = readFileSync(JSON.parse(downloaded).GoMod, 'utf8')
    const staging = [...requirements.matchAll(/^\t(k8s\.io\/\S+) => \.\/staging\//gm)].map(([, path]) => path)
    const replaced = staging.map((path) => `-replace=${path}=${path}@${STAGING_VERSION}`)
    await succeed('go', ['mod', 'edit', `-require=${MODULE}@${VERSION}`, ...replaced], options)
    const packages = Object.fromEntries(PROGRAMS.map((program) => [program, `${MODULE}/cmd/${program}`]))
    // Completes go.mod and go.sum.
    await succeed('go', ['get', ...Object.values(packages)], options)
    await cachedPrograms(name, packages, module)
  }
  const [server, manager, scheduler] = PROGRAMS
  return { [server]: at(server), [manager]: at(manager), [scheduler]: at(scheduler) }
}
