// The version of Node.js, checked before the library runs. An older one would fail later, at whatever it lacks. No
// module may import a name that such a version does not export: then this check would never run.

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18))
  throw new Error(
    `quorate needs Node.js 22.18 or newer; this is Node.js ${process.versions.node} (${process.execPath})`,
  )
