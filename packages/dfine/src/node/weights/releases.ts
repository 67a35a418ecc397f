/** Where the authors of D-FINE publish their weights. */
const RELEASE = "https://github.com/Peterande/storage/releases/download/dfinev1.0";

/** Official weights by name: size and training data. */
export type ReleaseName = "n-coco" | `${"s" | "m" | "l" | "x"}-${"coco" | "obj365" | "obj2coco"}`;

/**
 * Files of the official releases by size and training data: COCO, Objects365, or COCO after Objects365. Of L on Objects365
 * it is the one of 25 epochs, which the authors advise.
 */
const FILES: Readonly<Record<ReleaseName, string>> = {
  "n-coco": "dfine_n_coco.pth",
  "s-coco": "dfine_s_coco.pth",
  "m-coco": "dfine_m_coco.pth",
  "l-coco": "dfine_l_coco.pth",
  "x-coco": "dfine_x_coco.pth",
  "s-obj365": "dfine_s_obj365.pth",
  "m-obj365": "dfine_m_obj365.pth",
  "l-obj365": "dfine_l_obj365_e25.pth",
  "x-obj365": "dfine_x_obj365.pth",
  "s-obj2coco": "dfine_s_obj2coco.pth",
  "m-obj2coco": "dfine_m_obj2coco.pth",
  "l-obj2coco": "dfine_l_obj2coco_e25.pth",
  "x-obj2coco": "dfine_x_obj2coco.pth",
};

/** The names that weights may be called by. */
export const RELEASE_NAMES = Object.keys(FILES) as readonly ReleaseName[];

/** The address of official weights; undefined for other names. */
export const releaseAddress = (name: string): string | undefined =>
  Object.hasOwn(FILES, name) ? `${RELEASE}/${FILES[name as ReleaseName]}` : undefined;

/** The file that an address of a release names; undefined for other addresses. */
export const releaseFile = (address: string): string | undefined =>
  Object.values(FILES).find((file) => address === `${RELEASE}/${file}`);
