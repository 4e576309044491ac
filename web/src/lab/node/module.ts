// Functions of `node:module` that the shipped code below the lab uses: tracing would load a package when a process
// records traces, and a page records none.

export const createRequire = () => (name: string) => {
  throw new Error(`no package ${name} in a page`)
}
