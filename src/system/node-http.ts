// node:http without what an `import` of it costs. An import reads every export of a module, and some exports of
// node:http load Node's fetch: 40 ms for each start of a node and each `kv get`.

export const http = process.getBuiltinModule('node:http')
