/** PASCAL VOC's 20 class names, in their usual order. */
export const VOC_CLASSES: readonly string[] = (
  "aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,dog,horse,motorbike,person,pottedplant,sheep," +
  "sofa,train,tvmonitor"
).split(",");
