// The own suite of python3-etcd3, unmodified, against three nodes of quorate. Debian has the package, and the suite in
// its source. Both are downloaded with apt-get and unpacked into a directory of the test; nothing is installed. The
// suite stops nodes by the names of its own cluster, and needs the port 2379.

import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isFree } from '../../src/local/addresses.ts'
import {
  finish,
  requireProgram,
  scratchDirectory,
  startNodes,
  succeed,
  unpackDebianPackages,
} from './suites.ts'

const SUITE_PORT = 2379
const PACKAGES = [
  ...['python3-etcd3', 'python3-grpcio', 'python3-protobuf', 'python3-six', 'python3-tenacity'],
  ...['libabsl20220623', 'libc-ares2', 'libre2-9'],
  ...[
    'python3-pytest',
    'python3-py',
    'python3-pluggy',
    'python3-iniconfig',
    'python3-packaging',
    'python3-attr',
  ],
  ...['python3-hypothesis', 'python3-sortedcontainers', 'python3-dateutil', 'python3-exceptiongroup'],
  ...['python3-mock', 'python3-tomli', 'python3-more-itertools', 'python3-pkg-resources'],
]

/** Tests that cannot pass, each with the reason. */
const CANNOT_PASS: Readonly<Record<string, string>> = {
  'TestEtcd3::test_watch_key_with_revision_compacted':
    'It compacts revision 2, before which there is no event: a watch from revision 1 loses nothing, and is served.',
  'TestEtcd3::test_watch_responses': 'Each revision of the past is a response of its own.',
  'TestEtcd3::test_member_list': 'Peers of quorate do not speak HTTP.',
  'TestEtcd3::test_lock_acquire': 'The client does not fit the version of tenacity in Debian.',
  'TestEtcd3::test_lock_acquire_none': 'The client does not fit the version of tenacity in Debian.',
  'TestEtcd3::test_lock_contended': 'The client does not fit the version of tenacity in Debian.',
  'TestEtcd3::test_snapshot': '`etcdctl snapshot status` does not read a backup of quorate.',
  'TestAlarms::test_create_alarm_all_members': 'An alarm begins and ends by itself.',
  'TestAlarms::test_create_alarm_specific_member': 'An alarm begins and ends by itself.',
  'TestAlarms::test_list_alarms': 'An alarm begins and ends by itself.',
  'TestAlarms::test_disarm_alarm': 'An alarm begins and ends by itself.',
}

/** The suite is in Debian's source package, which apt-get finds by the sources of the machine. */
async function downloadSuite(directory: string): Promise<string> {
  const [parts, lists] = [join(directory, 'sources'), join(directory, 'lists')]
  mkdirSync(parts)
  mkdirSync(join(lists, 'partial'), { recursive: true })
  const copySources = (file: string, name: string): void => {
    const sources = readFileSync(file, 'utf8').replaceAll(/^(Types: *)?deb( |$)/gm, '$1deb-src$2')
    writeFileSync(join(parts, name), sources)
  }
  if (existsSync('/etc/apt/sources.list')) copySources('/etc/apt/sources.list', 'main.list')
  for (const name of readdirSync('/etc/apt/sources.list.d'))
    copySources(join('/etc/apt/sources.list.d', name), name)
  const options = ['Etc::sourcelist=/dev/null', `Etc::sourceparts=${parts}`, `State::lists=${lists}`]
  const flags = options.flatMap((option) => ['-o', `Dir::${option}`])
  // Other sources of the machine may have no source packages.
  await finish('apt-get', [...flags, 'update'])
  const { output } = await finish('apt-get', [...flags, 'source', '--download-only', 'python-etcd3'], {
    cwd: directory,
  })
  // Debian's own changes are another file, which is not needed.
  const archive = readdirSync(directory).find((name) => name.includes('.orig.tar'))
  if (archive === undefined)
    throw new Error(`apt-get could not download the source of python-etcd3:\n${output}`)
  const source = join(directory, 'source')
  mkdirSync(source)
  await succeed('tar', ['-xf', archive, '-C', source, '--strip-components=1'], { cwd: directory })
  return join(source, 'tests')
}

test("python3-etcd3's own suite", { timeout: 1_800_000 }, async () => {
  requireProgram('etcdctl', 'etcd-client')
  requireProgram('/usr/bin/python3', 'python3')
  requireProgram('pgrep', 'procps')
  requireProgram('tar', 'tar')
  if (!(await isFree(SUITE_PORT))) throw new Error(`the suite needs port ${SUITE_PORT}, which is taken`)
  const directory = scratchDirectory('python-etcd3')
  const root = unpackDebianPackages(directory, PACKAGES)
  const suite = join(directory, 'suite')
  cpSync(await downloadSuite(directory), join(suite, 'tests'), { recursive: true })
  copyFileSync(join(import.meta.dirname, 'python-etcd3/conftest.py'), join(suite, 'conftest.py'))
  const [node] = await startNodes(directory, ['pifpaf0', 'pifpaf1', 'pifpaf2'], { firstPort: SUITE_PORT })

  const packages = join(root, 'usr/lib/python3/dist-packages')
  const libraries = readdirSync(join(root, 'usr/lib')).filter((name) => name.includes('linux-gnu'))
  const { output } = await finish(
    '/usr/bin/python3',
    ['-m', 'pytest', '-rA', '--tb=short', '-p', 'no:cacheprovider', 'tests'],
    {
      cwd: suite,
      env: {
        ...process.env,
        PYTHONPATH: `${packages}:${packages}/etcd3`,
        LD_LIBRARY_PATH: libraries.map((name) => join(root, 'usr/lib', name)).join(':'),
        PYTHON_ETCD_HTTP_URL: `http://${node?.address}`,
        TEST_ETCD_VERSION: 'v3.4.23',
      },
    },
  )
  const outcomes = new Map<string, string>()
  // A test that passes can fail when it cleans up: then both are in the summary.
  for (const [, outcome = '', name = ''] of output.matchAll(
    /^(PASSED|FAILED|ERROR|SKIPPED) tests\/\S+?::(\S+)/gm,
  ))
    if (outcomes.get(name) === undefined || outcome !== 'PASSED') outcomes.set(name, outcome)
  const having = (outcome: string): readonly string[] =>
    [...outcomes].filter(([, its]) => its === outcome).map(([name]) => name)
  const failed = [...having('FAILED'), ...having('ERROR')].toSorted()
  const counts = `${having('PASSED').length} pass, ${failed.length} fail, ${having('SKIPPED').length} are skipped`
  console.log(`python3-etcd3: ${counts}`)
  expect(failed, output).toEqual(Object.keys(CANNOT_PASS).toSorted())
  expect(outcomes.size).toBeGreaterThanOrEqual(80)
})
