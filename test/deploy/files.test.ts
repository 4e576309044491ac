// The files of deploy/: YAML parses, flags are those of the command, and the manifests refer to what exists. The last
// check is structural: it knows no schemas of Kubernetes.

import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { buildProgram } from '../../src/cli/program.ts'

const root = join(import.meta.dirname, '../..')
const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const YAML = globSync('deploy/{*,kubernetes/**/*}.yaml', { cwd: root })

function documentsOf(file: string): readonly unknown[] {
  return parseAllDocuments(read(file), { merge: true }).map((document) => {
    expect(document.errors, file).toEqual([])
    return document.toJS()
  })
}

const statefulSet = () => Object(documentsOf('deploy/kubernetes/base/statefulset.yaml')[0])
const podOf = () => statefulSet().spec.template.spec

test('each flag is one of quorate node start', async () => {
  const program = await buildProgram(['node', 'start'])
  const start = program.commands
    .find((command) => command.name() === 'node')
    ?.commands.find((command) => command.name() === 'start')
  const known = new Set(start?.options.map((option) => option.long))
  const { services } = Object(documentsOf('deploy/compose.yaml')[0])
  const texts = [
    ...Object.values(services).flatMap((service) => Object(service).command),
    ...podOf().containers[0].args,
    ...(/ExecStart=((?:.*\\\n)*.*)/.exec(read('deploy/systemd/quorate.service'))?.[1]?.split(/\s+/) ?? []),
  ]
  const flags = texts.flatMap((text) => /^--[a-z-]+/.exec(text)?.[0] ?? [])
  expect(flags.length).toBeGreaterThan(40)
  expect(flags.filter((flag) => !known.has(flag))).toEqual([])
  expect(flags).not.toContain('--bootstrap')
})

test('every YAML file parses', () => {
  expect(YAML.length).toBeGreaterThan(4)
  for (const file of YAML) expect(documentsOf(file)).not.toEqual([])
})

test('the manifests refer to what exists', () => {
  const kustomization = Object(documentsOf('deploy/kubernetes/base/kustomization.yaml')[0])
  for (const file of kustomization.resources)
    expect(existsSync(join(root, 'deploy/kubernetes/base', file)), file).toBe(true)
  const { spec } = statefulSet()
  const labels = spec.template.metadata.labels
  expect(spec.selector.matchLabels).toEqual(labels)
  const services = documentsOf('deploy/kubernetes/base/services.yaml').map(Object)
  expect(services.map((service) => service.spec.selector)).toEqual([labels, labels])
  expect(services.map((service) => service.metadata.name)).toContain(spec.serviceName)
  const [container] = podOf().containers
  const claims = spec.volumeClaimTemplates.map((claim: { metadata: object }) => claim.metadata)
  const namesOf = (list: readonly { name: string }[]) => list.map(({ name }) => name).sort()
  expect(namesOf(container.volumeMounts)).toEqual(namesOf([...podOf().volumes, ...claims]))
  const ports = container.ports.map((port: { name: string }) => port.name)
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
    expect(ports).toContain(container[probe].httpGet.port)
})

interface Workload {
  readonly flags: readonly string[]
  /** Volumes that it may write to, by the directory where they are. */
  readonly volumes: ReadonlyMap<string, string>
}

function workloads(): Record<string, Workload> {
  const { services, volumes } = Object(documentsOf('deploy/compose.yaml')[0])
  const composed = Object.entries(services).map(([name, service]): [string, Workload] => {
    const { command, volumes: mounts } = Object(service)
    const named = mounts
      .map((mount: string) => mount.split(':'))
      .filter(([from]: string[]) => from && from in volumes)
    return [
      `compose ${name}`,
      { flags: command, volumes: new Map(named.map(([from, to]: string[]) => [to, from])) },
    ]
  })
  const [{ args, volumeMounts }] = podOf().containers
  const mounts = volumeMounts.filter(({ readOnly }: { readOnly?: boolean }) => readOnly !== true)
  const pairs = mounts.map(({ mountPath, name }: { mountPath: string; name: string }) => [mountPath, name])
  return { ...Object.fromEntries(composed), pod: { flags: args, volumes: new Map(pairs) } }
}

test.each(Object.entries(workloads()))(
  'backups are on another volume than the data: %s',
  (_, { flags, volumes }) => {
    const volumeOf = (flag: string) => {
      const path =
        flags.find((each) => each.startsWith(`${flag}=`))?.slice(flag.length + 1) ?? expect.fail(flag)
      return [...volumes].find(([directory]) => `${path}/`.startsWith(`${directory}/`))?.[1]
    }
    const [data, backups] = [volumeOf('--data'), volumeOf('--backup-to')]
    expect([data, backups, backups === data]).toEqual([expect.any(String), expect.any(String), false])
    for (const flag of ['--backup-every=', '--backup-keep=']) expect(flags.join(' ')).toContain(flag)
  },
)

test('the user of the image owns the directories of its volumes, of which an empty one takes the owner', () => {
  const owned = [...read('deploy/Dockerfile').matchAll(/^COPY .*--chown=65532:65532 \S+ (\S+)$/gm)].map(
    ([, dir]) => dir,
  )
  const directories = new Set(Object.values(workloads()).flatMap(({ volumes }) => [...volumes.keys()]))
  directories.delete('/tmp')
  expect(owned.sort()).toEqual([...directories].sort())
})

// kustomize refuses an overlay below its base.
test('the overlay that founds a cluster replaces the flags that join', () => {
  const [{ patches, resources }] = documentsOf('deploy/kubernetes/found/kustomization.yaml').map(Object)
  const { args } = podOf().containers[0]
  expect(resources).toEqual(['../base'])
  expect(args[4]).toMatch(/^--join=/)
  expect(args[5]).toBe('--replace')
  expect(patches[0].patch).toMatch(/args\/4\n +value: --bootstrap\n.*remove\n +path: \S+args\/5/)
})

test('nginx repeats no request: PUT and DELETE would be among those', () => {
  const directives = [...read('deploy/nginx/quorate.conf').matchAll(/^ *proxy_next_upstream (.*);$/gm)]
  expect(directives.map(([, value]) => value)).toEqual(['off'])
})
