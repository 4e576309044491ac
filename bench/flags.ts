import { type ParseArgsConfig, parseArgs } from 'node:util'

/** The flags of the command line; a wrong one ends the process with a message. */
export function flagsOf<Options extends NonNullable<ParseArgsConfig['options']>>(options: Options) {
  try {
    return parseArgs({ options }).values
  } catch (error) {
    const known = Object.keys(options).map((name) => `--${name}`)
    process.stderr.write(
      `${(error as Error).message}\nThe flags are ${known.join(', ')}; bench/README.md says more.\n`,
    )
    return process.exit(2)
  }
}
