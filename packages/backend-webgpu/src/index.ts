/** The name under which `device` and reports list this backend. */
export const BACKEND_NAME = "webgpu";
