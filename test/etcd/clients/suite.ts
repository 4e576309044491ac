// The form that suites of clients have in all languages.

/** The port that most suites expect. */
export const SUITE_PORT = 2379

/** Nodes of quorate, or members of etcd as a control. */
export type Server = 'quorate' | 'etcd'

/** Names of tests, each with the reason. */
export type Reasons = Readonly<Record<string, string>>

export interface ClientSuite {
  /** The client with its version. */
  readonly name: string
  /** The names of the nodes; the first one has the port. None: the tests start a program named `etcd`. */
  readonly nodes: readonly string[]
  /** Further flags of each node. */
  readonly flags?: Readonly<Record<Server, readonly string[]>>
  /** The password of the user root, if the tests expect one. */
  readonly rootPassword?: string
  readonly cannotPass: Readonly<Record<Server, Reasons>>
  /** A suite that lost its tests would pass as well. */
  readonly testsMin: number
  /** Downloads and builds the suite. The directory is removed at the end of the test. */
  prepare(directory: string): Promise<RunSuite>
}

/** Runs the whole suite, with these variables. */
export type RunSuite = (environment: NodeJS.ProcessEnv) => Promise<SuiteRun>

export interface SuiteRun {
  readonly output: string
  readonly outcomes: Outcomes
}

export type Outcome = 'passed' | 'failed' | 'skipped'
/** By the name of the test. */
export type Outcomes = ReadonlyMap<string, Outcome>

const OUTCOMES: Readonly<Record<string, Outcome>> = {
  ok: 'passed',
  PASS: 'passed',
  PASSED: 'passed',
  ignored: 'skipped',
  SKIP: 'skipped',
  SKIPPED: 'skipped',
}

/** Names of the tests with this outcome. */
export const testsWith = (outcomes: Outcomes, outcome: Outcome): readonly string[] =>
  [...outcomes].filter(([, its]) => its === outcome).map(([name]) => name)

/** Faults of a run. None: tests have failed that cannot pass, no other has, and none is missing or skips itself. */
export function faultsOf(
  { cannotPass, testsMin }: Pick<ClientSuite, 'cannotPass' | 'testsMin'>,
  server: Server,
  outcomes: Outcomes,
): readonly string[] {
  const listed = cannotPass[server]
  const failed = testsWith(outcomes, 'failed')
  const count = failed.length + testsWith(outcomes, 'passed').length
  return [
    ...failed.filter((name) => !Object.hasOwn(listed, name)).map((name) => `${name} has failed`),
    ...Object.keys(listed)
      .filter((name) => outcomes.get(name) !== 'failed')
      .map((name) => `${name} cannot pass, and is ${outcomes.get(name) ?? 'missing'}`),
    ...(count < testsMin ? [`${count} tests ran, and not ${testsMin}`] : []),
  ]
}

/**
 * Reads what a suite printed. The groups of each line are `outcome` and `name`. A test that passes can fail when it
 * cleans up: then it has both lines.
 */
export function readOutcomes(output: string, line: RegExp): Outcomes {
  const outcomes = new Map<string, Outcome>()
  for (const { groups } of output.matchAll(line)) {
    const { name = '', outcome = '' } = groups ?? {}
    if (outcomes.get(name) !== 'failed') outcomes.set(name, OUTCOMES[outcome] ?? 'failed')
  }
  return outcomes
}
