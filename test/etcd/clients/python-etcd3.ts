// The suite of python3-etcd3. Debian has the package, and the suite in its source. Both are downloaded with apt-get and
// unpacked into a directory of the test; nothing is installed.

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
import { finish, requireProgram, succeed, unpackDebianPackages } from '../suites.ts'
import { runPytest } from './python.ts'
import { type RunSuite, SUITE_PORT } from './suite.ts'

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

/** Prepares the suite with its dependencies. */
export async function preparePythonEtcd3(directory: string): Promise<RunSuite> {
  requireProgram('/usr/bin/python3', 'python3')
  requireProgram('pgrep', 'procps')
  requireProgram('tar', 'tar')
  const root = unpackDebianPackages(directory, PACKAGES)
  const suite = join(directory, 'suite')
  cpSync(await downloadSuite(directory), join(suite, 'tests'), { recursive: true })
  copyFileSync(join(import.meta.dirname, 'python-etcd3-conftest.py'), join(suite, 'conftest.py'))
  const packages = join(root, 'usr/lib/python3/dist-packages')
  const libraries = readdirSync(join(root, 'usr/lib')).filter((name) => name.includes('linux-gnu'))
  const run = runPytest('/usr/bin/python3', ['tests'], suite)
  return (environment) =>
    run({
      ...environment,
      PYTHONPATH: `${packages}:${packages}/etcd3`,
      LD_LIBRARY_PATH: libraries.map((name) => join(root, 'usr/lib', name)).join(':'),
      PYTHON_ETCD_HTTP_URL: `http://127.0.0.1:${SUITE_PORT}`,
      TEST_ETCD_VERSION: 'v3.4.23',
    })
}
