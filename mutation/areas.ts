// What is mutated, and which tests look at it. Tests that start processes of their own are left out: the mutant is not
// planted in those.

export interface Area {
  /** From the root of the project, as all paths here; also the argument of the command. */
  readonly path: string
  /** Globs of tests. */
  readonly tests: readonly string[]
  /** Whether the simulator runs this code, so that it may find what the tests let live. */
  readonly simulated: boolean
  /** Percent of the mutants, not counting the equivalent ones, that must be killed. */
  readonly required: number
}

/** The more special area first: a file belongs to the first one that holds it. */
export const AREAS: readonly Area[] = [
  { path: 'src/bytes', tests: ['test/bytes/**/*.test.ts'], simulated: true, required: 95 },
  { path: 'src/raft', tests: ['test/raft/**/*.test.ts'], simulated: true, required: 95 },
  { path: 'src/kv', tests: ['test/kv/**/*.test.ts'], simulated: true, required: 95 },
  { path: 'src/storage', tests: ['test/storage/**/!(*.int).test.ts'], simulated: true, required: 95 },
  { path: 'src/files', tests: ['test/storage/**/!(*.int).test.ts'], simulated: false, required: 85 },
  { path: 'src/server/http', tests: ['test/server/http/**/*.test.ts'], simulated: false, required: 85 },
  { path: 'src/server', tests: ['test/server/**/!(heap.int).test.ts'], simulated: true, required: 85 },
  { path: 'src/local/relays', tests: ['test/local/relays/**/*.test.ts'], simulated: false, required: 85 },
  { path: 'src/client', tests: ['test/client/**/!(*.int).test.ts'], simulated: false, required: 85 },
]

export interface Target {
  readonly area: Area
  /** Globs of sources. */
  readonly mutate: readonly string[]
}

/** What the arguments name: areas, folders or files below them; without any, all areas. */
export function targetsOf(paths: readonly string[]): readonly Target[] {
  if (paths.length === 0) return AREAS.map((area) => ({ area, mutate: wholeOf(area) }))
  const targets = new Map<Area, string[]>()
  for (const given of paths) {
    const path = given.replace(/^\.\//, '').replace(/\/$/, '')
    const area = AREAS.find((candidate) => path === candidate.path || path.startsWith(`${candidate.path}/`))
    if (area === undefined) {
      const known = AREAS.map((candidate) => candidate.path).join(', ')
      throw new Error(`${given} is in none of the areas that are mutated: ${known}`)
    }
    const globs = path === area.path ? wholeOf(area) : [path.endsWith('.ts') ? path : `${path}/**/*.ts`]
    targets.set(area, [...(targets.get(area) ?? []), ...globs])
  }
  return [...targets].map(([area, mutate]) => ({ area, mutate }))
}

function wholeOf(area: Area): string[] {
  const inner = AREAS.filter((other) => other.path.startsWith(`${area.path}/`))
  return [`${area.path}/**/*.ts`, ...inner.map(({ path }) => `!${path}/**/*.ts`)]
}
