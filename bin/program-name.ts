/** How this program is called again: what npm starts is on the path of nobody else. */
export const programName = (): string =>
  process.env['npm_command'] === undefined ? 'qmesh-node' : 'npx qmesh-node'
