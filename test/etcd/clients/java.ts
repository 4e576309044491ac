// Tests of ours with jetcd. Its own ones start containers, and Maven Central does not have them.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { finish, requireProgram, succeed } from '../suites.ts'
import { type RunSuite, readOutcomes, SUITE_PORT } from './suite.ts'

const LINE = /^(?<outcome>PASS|FAIL) (?<name>\S+)$/gm

/** Without a logger, slf4j warns in the output of the tests. */
const dependencies = (version: string): string =>
  [
    ['io.etcd', 'jetcd-core', version],
    ['org.slf4j', 'slf4j-nop', '2.0.17'],
  ]
    .map(
      ([group, artifact, its]) =>
        `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${its}</version></dependency>`,
    )
    .join('')

/** Prepares `JetcdTests.java` with this version of jetcd, which Maven downloads. */
export async function prepareJetcd(directory: string, version: string): Promise<RunSuite> {
  requireProgram('mvn', 'maven')
  requireProgram('javac', 'default-jdk')
  writeFileSync(
    join(directory, 'pom.xml'),
    '<project><modelVersion>4.0.0</modelVersion><groupId>quorate</groupId><artifactId>suites</artifactId>' +
      `<version>1</version><dependencies>${dependencies(version)}</dependencies></project>`,
  )
  const list = join(directory, 'classpath')
  const goal = 'org.apache.maven.plugins:maven-dependency-plugin:2.8:build-classpath'
  await succeed('mvn', ['-B', '-q', goal, `-Dmdep.outputFile=${list}`], { cwd: directory })
  const [classes, jars] = [join(directory, 'classes'), readFileSync(list, 'utf8').trim()]
  mkdirSync(classes)
  const source = join(import.meta.dirname, 'JetcdTests.java')
  await succeed('javac', ['-d', classes, '-classpath', jars, source])
  return async (env) => {
    const args = ['-classpath', `${classes}:${jars}`, 'JetcdTests', `http://127.0.0.1:${SUITE_PORT}`]
    const { output } = await finish('java', args, { env })
    return { output, outcomes: readOutcomes(output, LINE) }
  }
}
